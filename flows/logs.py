"""How the stages' lines look: for a person at a terminal, or with SDT_LOG=json one object a line for a collector.

A line says where the work is, never what anyone said.
"""

import json
import logging
import os
from datetime import UTC, datetime

from tasks import SHARD_LINES

_PLAIN = set(logging.LogRecord("", 0, "", 0, "", (), None).__dict__) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """Time, level, logger and message, and what was passed as `extra`, as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        entry |= {name: value for name, value in record.__dict__.items() if name not in _PLAIN}
        if record.exc_info:
            entry["error"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False, default=str)


def show_json_lines() -> None:
    """Print every line to stderr as JSON, also one for every shard; wherever a flow runs, if SDT_LOG=json."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    for name in ("sdt", SHARD_LINES):
        logging.getLogger(name).addHandler(handler)


def show_progress() -> None:
    """Print the stages' lines to stderr for who runs a command, with their time."""
    if as_json():
        return
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s  %(message)s", datefmt="%H:%M:%S"))
    logging.getLogger("sdt").addHandler(handler)


def as_json() -> bool:
    """Whether a collector reads the lines."""
    return os.environ.get("SDT_LOG") == "json"
