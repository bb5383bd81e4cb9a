"""Tables: CSV, JSON and Parquet, each read as text by its own module and laid out as utterances by one."""
