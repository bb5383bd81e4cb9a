"""Train: features of annotated conversations to a model."""
