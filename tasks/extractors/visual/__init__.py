"""Extractors of an utterance's picture."""
