"""One function per fault of a data set; `data.audit` runs them all."""
