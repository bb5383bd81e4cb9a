"""What a file's path says: hive partitions, in every format, and names by a pattern."""

import json
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.config.tables import TableSettings
from tasks.errors import WorkflowError
from tasks.sources.base import SourceFile
from tasks.sources.registry import source
from tasks.sources.tables.path_columns import path_columns
from tasks.storage.workspace import Workspace
from tests.fixtures.sources.ingested import ingest_source, read_archive


def write(path: Path, rows: list[dict]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".csv":
        pl.DataFrame(rows).write_csv(path)
    elif path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows))
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def read(path: Path, **settings: object) -> list[dict]:
    table = source("table", TableSettings.model_validate(settings))
    return [
        row for file in table.files(str(path), None) for batch in table.batches(file, None) for row in batch.to_dicts()
    ]


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet", "json"])
def test_partitions_of_any_column_are_columns(tmp_path: Path, ending: str) -> None:
    for name in ("a/1", "b%c"):
        folder = (
            tmp_path
            / "split=dev"
            / f"conversation_id={name.replace('%', '%25').replace('/', '%2F')}"
            / "speaker=Ann%20Lee"
        )
        write(folder / f"x.{ending}", [{"turn": 0, "text": "hi"}, {"turn": 1, "text": "ho"}])
    rows = read(tmp_path)
    assert [row["conversation_id"] for row in rows] == ["a/1", "a/1", "b%c", "b%c"]
    assert {(row["split"], row["speaker"], row["problem"]) for row in rows} == {("dev", "Ann Lee", None)}


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet", "json"])
def test_a_column_of_the_same_name_has_to_agree(tmp_path: Path, ending: str) -> None:
    rows = [
        {"conversation_id": "c", "turn": i, "text": "hi", "split": split}
        for i, split in enumerate(["dev", "test", None])
    ]
    found = read(write(tmp_path / "split=dev" / f"x.{ending}", rows).parents[1])
    assert [row["split"] for row in found[::2]] == ["dev", "dev"]
    assert [row["problem"] for row in found] == [None, "split is 'test', and the file's path says dev", None]
    assert json.loads(found[1]["content"])["text"] == "hi"


@pytest.mark.parametrize("named", ["split=test", "split=test/emotion=joy", "split=test/emotion=joy/x.csv"])
def test_partitions_above_what_is_named_count_too(tmp_path: Path, named: str) -> None:
    write(tmp_path / "split=test" / "emotion=joy" / "x.csv", [{"conversation_id": "c", "turn": 0}])
    assert [(row["split"], row["emotion"]) for row in read(tmp_path / named)] == [("test", "joy")]


def test_the_default_partition_is_no_value_and_unused_keys_are_nobodys(tmp_path: Path) -> None:
    write(
        tmp_path / "day=2026-01-05" / "emotion=__HIVE_DEFAULT_PARTITION__" / "x.csv",
        [{"conversation_id": "c", "turn": 0}],
    )
    assert [(row["emotion"], row["occurred_at"]) for row in read(tmp_path)] == [(None, None)]
    assert [row["occurred_at"] for row in read(tmp_path, columns={"occurred_at": "day"})] == ["2026-01-05"]


@pytest.mark.parametrize(
    ("name", "pattern", "expected"),
    [
        ("emorynlp_train_final.csv", "emorynlp_{split}_final.csv", {"split": "train"}),
        (
            "talk-s01e02.dev.json",
            "talk-s{season}e{episode}.{split}.json",
            {"season": "01", "episode": "02", "split": "dev"},
        ),
        ("in/dev/anger/7.csv", "{split}/{emotion}/*.csv", {"split": "dev", "emotion": "anger"}),
        ("a+b.csv", "{x}+b.csv", {"x": "a"}),
        ("trn.csv", "{split}.*", {"split": "trn"}),
    ],
)
def test_a_pattern_takes_columns_from_names(name: str, pattern: str, expected: dict[str, str]) -> None:
    assert path_columns(SourceFile(f"/data/{name}", name.rsplit("/", 1)[-1], 1), pattern) == expected


def test_a_name_that_the_pattern_does_not_fit_is_an_error_that_names_it(tmp_path: Path) -> None:
    write(tmp_path / "other.csv", [{"conversation_id": "c", "turn": 0}])
    with pytest.raises(WorkflowError, match=r"other\.csv: `file_pattern` 'calls_\{split\}\.csv' does not fit its name"):
        read(tmp_path, file_pattern="calls_{split}.csv")


def test_a_path_that_contradicts_itself_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "split=dev" / "split=test" / "x.csv", [{"conversation_id": "c", "turn": 0}])
    with pytest.raises(WorkflowError, match="two values for split: dev and test"):
        read(tmp_path)


def test_what_a_path_says_is_in_the_fingerprint_and_nothing_else_is_new(workspace: Workspace, tmp_path: Path) -> None:
    rows = [{"conversation_id": "c", "turn": 0, "text": "hi"}]
    prints = {
        folder: ingest_source(workspace, write(tmp_path / folder / "x.csv", rows).parent, shards=1).fingerprint
        for folder in ("plain", "day=1", "split=dev", "split=test")
    }
    assert prints["plain"] == prints["day=1"] and len(set(prints.values())) == 3
    assert read_archive(workspace, "utterances/" + prints["split=test"])["split"].to_list() == ["test"]
