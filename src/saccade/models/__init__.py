"""Images to raw tensors: one paper, one file."""
