"""Sources: one module a format, which lists its files and reads them as batches of rows."""
