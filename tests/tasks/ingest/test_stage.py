"""Ingest, from real files."""

import json
from pathlib import Path

import polars as pl
import pytest

from tasks.archive.facts import UtteranceShardFacts
from tasks.archive.layout import archive_manifest_path
from tasks.errors import WorkflowError
from tasks.storage.workspace import Workspace
from tests.fixtures.sources.ingested import ingest_source, read_archive
from tests.fixtures.sources.meld import release

MELD = Path(__file__).parents[4] / "shared" / "data" / "meld"


def rows(count: int, turns: int = 5) -> list[dict]:
    """Utterances of many conversations, shuffled together."""
    found = [
        {"conversation_id": f"c{i % count}", "turn": 2 * (i // count), "text": f"t{i}", "emotion": "joy",
         "occurred_at": f"2026-03-0{1 + i % count % 3}T23:{i // count:02d}:00Z"}
        for i in range(count * turns)
    ]  # fmt: skip
    return sorted(found, key=lambda row: row["text"][::-1])


def write(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_whole_conversations_sorted_and_nothing_lost(workspace: Workspace, tmp_path: Path) -> None:
    manifest = ingest_source(workspace, write(tmp_path / "x.jsonl", rows(30)), shards=6)
    shards = [pl.read_parquet(workspace.path(shard.path)) for shard in manifest.shards]
    assert len(shards) == 6 and sum(map(len, shards)) == manifest.rows == 150
    homes = [set(shard["conversation_id"]) for shard in shards]
    assert sum(map(len, homes)) == len(set.union(*homes)) == 30
    for shard in shards:
        assert shard.equals(shard.sort("conversation_id", "turn"))
    assert manifest.counts["accepted"] == 150 and manifest.counts["rejected"] == 0
    assert set().union(*(UtteranceShardFacts.of(shard).days or {} for shard in manifest.shards)) == {
        "2026-03-01",
        "2026-03-02",
        "2026-03-03",
    }
    assert not [path for path in workspace.files("archives/a") if "/scan/" in path]


def test_the_same_rows_from_every_format_give_the_same_utterances(workspace: Workspace, tmp_path: Path) -> None:
    frame, found = pl.DataFrame(rows(9)), []
    frame.write_csv(tmp_path / "x.csv")
    frame.write_parquet(tmp_path / "x.parquet")
    frame.write_ndjson(tmp_path / "x.jsonl")
    for ending in ("csv", "parquet", "jsonl"):
        manifest = ingest_source(workspace, tmp_path / f"x.{ending}", shards=2)
        found.append(pl.concat([pl.read_parquet(workspace.path(shard.path)) for shard in manifest.shards]))
    assert found[0].equals(found[1]) and found[0].equals(found[2]) and len(found[0]) == 45


def test_rejected_rows_are_kept_with_file_row_and_reason(workspace: Workspace, tmp_path: Path) -> None:
    good = rows(4, 1)
    bad = [{"turn": 1, "text": "x"}, {"conversation_id": "c", "turn": "z", "text": "x"}, good[0] | {"text": "again"}]
    write(tmp_path / "one.jsonl", good)
    write(tmp_path / "two.jsonl", [good[1] | {"conversation_id": "new"}, *bad])
    manifest = ingest_source(workspace, tmp_path)
    rejected = read_archive(workspace, "rejected").sort("row")
    assert manifest.counts["accepted"] == 5 and manifest.counts["rejected"] == 3
    assert rejected["file"].to_list() == ["two.jsonl"] * 3 and rejected["row"].to_list() == [2, 3, 4]
    assert rejected["reason"].to_list() == [
        "no conversation_id", "turn 'z' is not a whole number", "duplicate of one.jsonl row 1",
    ]  # fmt: skip
    assert [json.loads(content)["text"] for content in rejected["content"]] == ["x", "x", "again"]


def test_running_again_does_nothing_and_a_lost_shard_comes_back_the_same(workspace: Workspace, tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", rows(20))
    first = ingest_source(workspace, path)
    before = {name: workspace.read_bytes(name) for name in workspace.files("archives")}
    assert ingest_source(workspace, path) == first
    workspace.remove(archive_manifest_path("a"))
    workspace.remove(first.shards[2].path)
    assert ingest_source(workspace, path) == first
    assert {name: workspace.read_bytes(name) for name in workspace.files("archives")} == before


def test_a_changed_source_makes_the_archive_anew(workspace: Workspace, tmp_path: Path) -> None:
    first = ingest_source(workspace, write(tmp_path / "x.jsonl", rows(5)))
    second = ingest_source(workspace, write(tmp_path / "x.jsonl", rows(6)))
    assert first.fingerprint != second.fingerprint and second.rows == 30


def test_a_source_of_another_format_fails_before_anything_is_written(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(b"\x89PNG\r\n")
    with pytest.raises(WorkflowError, match="the header lacks conversation_id"):
        ingest_source(workspace, tmp_path / "x.csv")
    assert not workspace.exists(archive_manifest_path("a"))


def test_meld(workspace: Workspace, tmp_path: Path) -> None:
    manifest = ingest_source(workspace, release(tmp_path), kind="meld")
    assert manifest.rows == 12 and manifest.counts["labelled"] == 12
    assert {split for shard in manifest.shards for split in UtteranceShardFacts.of(shard).splits} == {
        "train",
        "dev",
        "test",
    }


@pytest.mark.shared
@pytest.mark.skipif(not MELD.is_dir(), reason="the MELD transcripts are not beside the checkout")
def test_the_whole_of_meld(workspace: Workspace) -> None:
    manifest = ingest_source(workspace, MELD, kind="meld")
    assert manifest.counts["accepted"] == 13_708 and manifest.counts["rejected"] == 0
    assert sum(UtteranceShardFacts.of(shard).conversations for shard in manifest.shards) == 1_432
