"""Ways in: each source finds its files and reads them as batches of rows."""
