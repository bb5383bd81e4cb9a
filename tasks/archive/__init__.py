"""An archive: the schemas of its tables, where its files lie, and its days."""
