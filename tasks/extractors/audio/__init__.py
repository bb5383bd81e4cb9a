"""Extractors of an utterance's sound."""
