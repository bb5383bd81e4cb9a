"""What the test prints for a person, and what it reads from the lines for a collector."""

import json
from collections import defaultdict
from typing import Any

Places = dict[str, dict[str, list[int]]]
"""Of every stage: which node, by its address, did which shards."""


def say(text: str) -> None:
    print(text, flush=True)


def json_lines(text: str, logger: str) -> list[dict[str, Any]]:
    """A logger's lines, among others."""
    lines = [json.loads(line) for line in text.splitlines() if line.startswith('{"time"')]
    return [line for line in lines if line["logger"] == logger]


def messages(text: str, logger: str) -> list[str]:
    return [line["message"] for line in json_lines(text, logger)]


def shards_by_node(text: str) -> Places:
    found: Places = defaultdict(lambda: defaultdict(list))
    for line in json_lines(text, "sdt.shards"):
        found[line["stage"]][line["node"]].append(line["shard"])
    return found
