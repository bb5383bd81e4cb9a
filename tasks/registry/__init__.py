"""The models and text encoders of a workspace, by name."""
