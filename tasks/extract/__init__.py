"""Extract: utterance shards to feature shards."""
