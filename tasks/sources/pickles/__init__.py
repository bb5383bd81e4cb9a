"""Pickles that authors publish, read through a list of allowed content."""
