"""Update rules that torch does not have, one to a file; their memory is tensors only."""
