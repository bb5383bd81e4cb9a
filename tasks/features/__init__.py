"""Features: their tables and how they are read, what they were made from, which there are."""
