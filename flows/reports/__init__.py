"""The page of each command, in Markdown: an artifact in Prefect, and what the terminal shows."""
