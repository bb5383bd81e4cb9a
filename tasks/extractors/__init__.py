"""Extractors: an utterance's text, sound or pictures to one vector of fixed size."""
