"""Pretrained encoders by name: what all modalities have in common."""
