"""Runs the shards of a stage over Ray or in this process, watches the workers and says how far they are."""
