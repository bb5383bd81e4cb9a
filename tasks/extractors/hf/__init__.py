"""Pretrained encoders by name: options, specs and running, shared by all modalities."""
