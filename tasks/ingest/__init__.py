"""Ingest: source files to utterance shards."""
