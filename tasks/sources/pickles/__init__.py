"""Pickles that authors publish, read through a list of what may be in them."""
