"""Lines for a collector, from a command in a process of its own: they are chosen when the flows are imported."""

import json
import logging
from pathlib import Path

import pytest

from flows.logs import JsonLines
from tasks.executor.local import NODE
from tests.fixtures.command import sdt

SECRET = "nobody may read this"


@pytest.mark.long
def test_every_line_of_a_run_is_json_with_one_for_every_shard_and_nothing_that_was_said(tmp_path: Path) -> None:
    (tmp_path / "calls.csv").write_text(f"conversation_id,turn,text\na,0,{SECRET}\nb,0,{SECRET}\n")
    local = ["--set", "ray.address=local"]
    done = sdt("ingest", "table", "calls.csv", "--archive", "calls", *local, cwd=tmp_path, SDT_LOG="json")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert SECRET not in done.stderr
    assert {"time", "level", "logger", "message"} <= set.intersection(*map(set, lines))
    shards = [line for line in lines if line["logger"] == "sdt.shards" and line["stage"] == "ingest"]
    assert sorted(line["shard"] for line in shards) == [0, 1, 2, 3]
    assert sum(line["rows"] for line in shards) == 2 and all(line["attempt"] == 1 for line in shards)
    assert all(line["node"] == NODE for line in shards)
    progress = [line for line in lines if line.get("stage") == "ingest" and "done" in line]
    assert (progress[-1]["done"], progress[-1]["shards"]) == (4, 4)


def test_an_error_keeps_its_traceback_on_one_line() -> None:
    try:
        raise ValueError("a\nb")
    except ValueError as error:
        record = logging.LogRecord(
            "sdt", logging.ERROR, "", 0, "%s", ("broken",), (ValueError, error, error.__traceback__)
        )
    line = JsonLines().format(record)
    assert "\n" not in line and json.loads(line)["error"].endswith("ValueError: a\nb")
