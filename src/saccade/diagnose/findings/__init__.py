"""Faults of a run: one small function each, in one literal list."""
