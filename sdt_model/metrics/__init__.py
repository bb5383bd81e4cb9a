"""Scores of a model, how far they could be off, and how sure it may be."""
