"""One problem, one file: loss, decoding, metric, head."""
