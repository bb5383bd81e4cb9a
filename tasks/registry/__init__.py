"""Models and text encoders of a workspace, by name."""
