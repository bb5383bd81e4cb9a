"""The command line: one command a flow, and those that look after a workspace."""
