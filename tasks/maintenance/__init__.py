"""Maintenance of a workspace: what is missing, what is damaged, and what can be removed."""
