"""Label: feature shards and a model to label rows."""
