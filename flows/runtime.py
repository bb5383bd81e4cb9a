"""The surroundings of a flow that the command line runs; set before Ray and Prefect are imported, which read them once.

Where a Prefect server is named, the lines of the stages also go to its run logs. On the terminal each line appears
once, printed by `flows.logs`.
"""

import os

_DEFAULTS = {
    "DO_NOT_TRACK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_AUTO_CONNECT": "0",  # a thread that outlives an interrupted run starts no Ray of its own
    "PREFECT_LOGGING_EXTRA_LOGGERS": "sdt",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
}


def prepare_environment() -> None:
    """Set what the user has not set himself."""
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
