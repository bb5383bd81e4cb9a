"""Runs the shards of a stage over Ray, watches the workers and says how far they are."""
