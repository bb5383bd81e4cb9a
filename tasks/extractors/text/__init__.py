"""Extractors of an utterance's words."""
