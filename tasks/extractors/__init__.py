"""Extractors: media to one vector of fixed size for each utterance."""
