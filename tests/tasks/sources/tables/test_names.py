"""Columns in another case or with blanks around, in every format, and those that could be two."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tasks.config.tables import TableSettings
from tasks.errors import WorkflowError
from tasks.sources.tables.table import Table

KINDS = ("csv", "tsv", "jsonl", "json", "parquet")
ROW = {"Conversation_ID": "c", " turn ": "0", "TEXT": "hi", "Speaker": "A", "Emotion\u00a0": "joy", "Other": "x"}


def write(path: Path, row: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    match path.suffix:
        case ".csv" | ".tsv":
            between = "," if path.suffix == ".csv" else "\t"
            path.write_text("\n".join((between.join(row), between.join(row.values()), "")))
        case ".parquet":
            pl.DataFrame([row]).write_parquet(path)
        case ".json":
            path.write_text(json.dumps([row]))
        case _:
            path.write_text(json.dumps(row) + "\n")
    return path


def read(path: Path, **settings: Any) -> dict[str, Any]:
    table = Table(TableSettings(**settings))
    (batch,) = (batch for file in table.files(str(path), None) for batch in table.batches(file, None))
    (row,) = batch.to_dicts()
    return row


@pytest.mark.parametrize("kind", KINDS)
def test_case_and_blanks_around_a_name_do_not_matter(tmp_path: Path, kind: str) -> None:
    row = read(write(tmp_path / f"x.{kind}", ROW))
    wanted = {"conversation_id": "c", "turn": "0", "text": "hi", "speaker": "A", "emotion": "joy", "problem": None}
    assert {name: row[name] for name in wanted} == wanted


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("other", ["Text", "text "])
def test_two_that_differ_by_case_or_blanks_are_refused_unless_one_is_chosen(
    tmp_path: Path, kind: str, other: str
) -> None:
    if kind in ("csv", "tsv") and other == "text ":
        pytest.skip("a name twice, which says so itself")
    path = write(tmp_path / f"x.{kind}", {"conversation_id": "c", "turn": "0", "text": "hi", other: "ho"})
    with pytest.raises(
        WorkflowError, match=f"the columns 'text' and '{other}' differ by case or blanks alone"
    ) as error:
        read(path)
    assert '--set \'columns={"text": "..."}\'' in str(error.value)
    assert read(path, columns={"text": "text"})["text"] == "hi"
    assert read(path, columns={"text": other})["text"] == "ho"


def test_columns_that_are_not_used_may_differ_by_case(tmp_path: Path) -> None:
    row = {"conversation_id": "c", "turn": "0", "text": "hi", "note": "x", "Note": "y"}
    assert read(write(tmp_path / "x.csv", row))["text"] == "hi"


def test_a_chosen_name_and_a_folder_s_are_found_in_another_case_too(tmp_path: Path) -> None:
    path = write(tmp_path / "Split=test" / "x.csv", {"Dialogue": "c", "turn": "0", "UTTERANCE": "hi"})
    row = read(path, columns={"conversation_id": "dialogue", "text": "Utterance"})
    assert (row["conversation_id"], row["text"], row["split"]) == ("c", "hi", "test")


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("own", ["conversationId", "Conversation ID", "conversation-id"])
def test_a_name_that_is_nearly_right_is_named(tmp_path: Path, kind: str, own: str) -> None:
    path = write(tmp_path / f"x.{kind}", {own: "c", "turn": "0", "text": "hi"})
    with pytest.raises(WorkflowError) as error:
        read(path)
    assert f'--set \'columns={{"conversation_id": "{own}"}}\'' in str(error.value)
    assert read(path, columns={"conversation_id": own})["conversation_id"] == "c"


def test_a_semicolon_is_seen_under_names_in_capitals(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("CONVERSATION_ID;TURN;TEXT\nc;0;a, b\n")
    assert read(tmp_path / "x.csv")["text"] == "a, b"
