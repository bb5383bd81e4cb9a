"""Ingest's shard functions alone, without Ray."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.archive.schema import KEY
from tasks.executor.shard import Shard, run_shard
from tasks.ingest.merge import merge_shard
from tasks.ingest.scan import IngestPlan, scan_files
from tasks.sources.base import SourceFile
from tasks.storage.workspace import Workspace

junk = (
    st.none() | st.sampled_from(["c", "d", "", "0", "1", "x", "../x", "2026-01-01"]) | st.integers(-2, 3) | st.just([1])
)
records = st.lists(
    st.fixed_dictionaries({}, optional=dict.fromkeys(["conversation_id", "turn", "text", "audio"], junk)),
    min_size=1, max_size=25,
)  # fmt: skip


@pytest.mark.long
@given(records, st.integers(1, 3))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rows_in_are_rows_accepted_and_rejected_and_keys_are_unique(
    tmp_path: Path, records: list[dict], shards: int
) -> None:
    source = tmp_path / "x.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in records))
    workspace = Workspace(str(tmp_path / str(abs(hash(str(records) + str(shards))))))
    plan = IngestPlan(workspace, "table", "a", None, shards, "f", "f")
    file = SourceFile(str(source), "x.jsonl", 1)
    part = Shard(0, plan.part_path(0), [(0, file)])
    scanned = run_shard(workspace, part, lambda shard: scan_files(plan, shard))
    assert scanned.rows == len(records)
    outputs = [merge_shard(plan, 1, Shard(i, f"archives/a/utterances/f/part-{i}.parquet")) for i in range(shards)]
    rejected = [row for output in outputs for table in output.beside.values() for row in table["row"].to_pylist()]
    keys = [tuple(row.values()) for output in outputs for row in output.table.select(list(KEY)).to_pylist()]
    assert len(keys) + len(rejected) == len(records)
    assert len(set(keys)) == len(keys) and len(set(rejected)) == len(rejected)
