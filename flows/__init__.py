"""The flows and the command line."""

import logging

# Prefect passes on what this logger lets through; as a child of the root logger it would hold back all progress.
logging.getLogger("sdt").setLevel(logging.INFO)
