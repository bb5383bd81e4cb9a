"""Looks after a workspace: what is missing in it, what is damaged, what may go."""
