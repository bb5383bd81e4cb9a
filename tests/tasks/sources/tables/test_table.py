import json
import re
from pathlib import Path
from typing import get_args

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from tasks.config.tables import Column, TableSettings
from tasks.errors import WorkflowError
from tasks.sources.base import CANONICAL
from tasks.sources.registry import source

ROWS = [
    {"conversation_id": "c1", "turn": 0, "speaker": "ann", "text": 'Hello, "you"\nthere', "start_s": 0.25, "extra": 1},
    {"conversation_id": "c1", "turn": 2, "speaker": None, "text": "Grüße", "start_s": None, "extra": 2},
]


def write(folder: Path, ending: str, rows: list[dict]) -> Path:
    path = folder / f"rows.{ending}"
    frame = pl.DataFrame(rows)
    if ending == "csv":
        frame.write_csv(path)
    elif ending == "parquet":
        frame.write_parquet(path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def read(path: Path, columns: dict[str, str] | None = None) -> pl.DataFrame:
    table = source("table", TableSettings(columns=columns))
    return pl.concat([batch for file in table.files(str(path), None) for batch in table.batches(file, None)])


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_rows_come_as_text_with_their_numbers(tmp_path: Path, ending: str) -> None:
    found = read(write(tmp_path, ending, ROWS))
    assert found["row"].to_list() == [1, 2] and found["problem"].to_list() == [None, None]
    assert found["text"].to_list() == [row["text"] for row in ROWS]
    assert found["turn"].to_list() == ["0", "2"] and found["start_s"][0] == "0.25"
    assert "extra" not in found.columns and found["audio"].null_count() == 2


def test_a_folder_is_read_in_the_order_of_names(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    write(tmp_path / "b", "csv", ROWS)
    write(tmp_path, "jsonl", ROWS)
    (tmp_path / "notes.txt").write_text("not a table")
    assert [file.name for file in source("table").files(str(tmp_path), None)] == ["b/rows.csv", "rows.jsonl"]
    assert len(read(tmp_path)) == 4


def test_json_lines_that_cannot_be_read_say_why(tmp_path: Path) -> None:
    good = json.dumps(ROWS[0])
    odd = '{"conversation_id": "c", "turn": [1], "text": {"a": 1}}'
    (tmp_path / "x.jsonl").write_bytes(f'{good}\n\n{{"half\n[1]\n{odd}\n'.encode() + b'"\xff"\n{"text": "\\ud800"}\n')
    found = read(tmp_path)
    assert found["row"].to_list() == [1, 3, 4, 5, 6, 7]
    problems = found["problem"].to_list()
    assert problems[0] is None and problems[1].startswith("is not JSON") and problems[4].startswith("is not JSON")
    assert problems[2] == "is a JSON list, not an object"
    assert problems[3] == "column turn holds a list, text holds a dict"
    assert problems[5] == "is not valid Unicode"
    assert found["content"].to_list()[3] == odd


def test_parquet_columns_of_an_unusable_type_are_named_with_it(tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"conversation_id": ["c", "c"], "turn": [[1], None], "text": ["a", "b"]}), tmp_path / "x.parquet"
    )
    found = read(tmp_path)
    assert found["problem"].to_list()[0].startswith("column turn has type list<") and found["problem"][1] is None
    assert json.loads(found["content"][0])["text"] == "a"


def test_parquet_timestamps_dictionaries_and_floats_become_text(tmp_path: Path) -> None:
    table = pa.table(
        {
            "conversation_id": pa.array(["c"]).dictionary_encode(),
            "turn": [3.0],
            "occurred_at": pa.array([1_700_000_000_000_000], pa.timestamp("us", "Europe/Berlin")),
        }
    )
    pq.write_table(table, tmp_path / "x.parquet")
    found = read(tmp_path)
    assert found["conversation_id"].to_list() == ["c"] and float(found["turn"][0]) == 3
    assert found["occurred_at"][0].startswith("2023-11-14")


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("x.csv", b"\x89PNG\r\n\x1a\n\x00\x00", "the header lacks conversation_id, turn"),
        ("x.jsonl", b'[\n{"conversation_id": "c"}\n]', "expected: one JSON object a line"),
        ("x.parquet", b"PAR1 and then nothing", "not a whole Parquet file"),
    ],
)
def test_another_format_is_an_error_that_says_what_was_expected(
    tmp_path: Path, name: str, content: bytes, expected: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WorkflowError, match=expected):
        read(tmp_path)


def test_a_parquet_file_without_the_key_names_what_it_has(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": [1]}), tmp_path / "x.parquet")
    with pytest.raises(WorkflowError, match=r"(?s)lacks conversation_id, turn.*found: id"):
        read(tmp_path)


def test_nothing_there_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(WorkflowError, match=r"(?s)is not there.*expected: CSV, JSONL or Parquet"):
        read(tmp_path / "gone")
    with pytest.raises(WorkflowError, match="holds no such file"):
        read(tmp_path)


OWN = [
    {"call": "c1", "n": 0, "content": "Hello", "text": "not this"},
    {"call": "c1", "n": 1, "content": None, "text": "nor this"},
]
COLUMNS = {"conversation_id": "call", "turn": "n", "text": "content"}


def test_the_columns_that_can_be_named_are_the_utterances() -> None:
    assert get_args(Column) == CANONICAL


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_tables_own_columns_stand_for_the_canonical_ones(tmp_path: Path, ending: str) -> None:
    """Also one that is called as ingest's own `content` is."""
    found = read(write(tmp_path, ending, OWN), COLUMNS)
    assert found["conversation_id"].to_list() == ["c1", "c1"] and found["turn"].to_list() == ["0", "1"]
    assert found["text"][0] == "Hello" and not found["text"][1]
    assert found["content"].null_count() == found["problem"].null_count() == 2 and found["row"].to_list() == [1, 2]


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_one_column_may_stand_for_two(tmp_path: Path, ending: str) -> None:
    found = read(write(tmp_path, ending, OWN), COLUMNS | {"speaker": "call"})
    assert found["speaker"].to_list() == ["c1", "c1"]


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_named_column_that_is_not_there_is_an_error(tmp_path: Path, ending: str) -> None:
    with pytest.raises(WorkflowError, match=r"rows\.\w+: (the header lacks|no row has|lacks) mood\n"):
        read(write(tmp_path, ending, OWN), COLUMNS | {"emotion": "mood"})


def test_json_lines_need_a_named_column_in_one_row_only(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"call": "c", "n": 0}\n{"call": "c", "n": 1, "content": "Hi"}\n')
    assert read(tmp_path, COLUMNS)["text"].to_list() == [None, "Hi"]


def test_a_line_of_brackets_without_end_is_a_rejected_row(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text(json.dumps(ROWS[0]) + "\n" + 100_000 * "[" + "\n" + json.dumps(ROWS[1]) + "\n")
    found = read(tmp_path)
    assert found["problem"][1].startswith("is not JSON: maximum recursion depth") and found["turn"][2] == "2"


def csv(folder: Path, *lines: str) -> Path:
    (folder / "x.csv").write_text("\n".join([*lines, ""]))
    return folder / "x.csv"


def test_joined_columns_name_a_conversation_and_never_two_alike(tmp_path: Path) -> None:
    path = csv(tmp_path, "a,b,turn", "1,23,0", "12,3,0", "1/2,3,0", "1,2/3,0", "1%2F2,3,0", " 1 , 23 ,1")
    found = read(path, {"conversation_id": ("a", "b")})["conversation_id"].to_list()
    assert found == ["1/23", "12/3", "1%2F2/3", "1/2%2F3", "1%252F2/3", "1/23"] and len(set(found)) == 5


@pytest.mark.parametrize("missing", ["", " ", "NA", "nan"])
def test_a_conversation_with_a_part_missing_says_which(tmp_path: Path, missing: str) -> None:
    found = read(csv(tmp_path, "a,b,turn,text", f"1,{missing},0,hi", "1,2,1,ho"), {"conversation_id": ("a", "b")})
    assert found["problem"].to_list() == ["no b, a part of conversation_id", None]
    assert json.loads(found["content"][0])["text"] == "hi" and found["conversation_id"].to_list() == [None, "1/2"]


def test_other_columns_are_joined_from_what_there_is(tmp_path: Path) -> None:
    path = csv(
        tmp_path,
        "conversation_id,turn,first,last,day,hour,dir,file",
        "c,0,Ann,Lee,2026-03-01,12:00,in,x.wav",
        "c,1,,Lee,,,,x",
    )
    columns = {"speaker": ("first", "last"), "occurred_at": ("day", "hour"), "audio": ("dir", "file")}
    found = read(path, columns)
    assert found["speaker"].to_list() == ["Ann Lee", "Lee"] and found["audio"].to_list() == ["in/x.wav", None]
    assert found["occurred_at"].to_list() == ["2026-03-01 12:00", None]


@pytest.mark.parametrize(
    ("written", "speaker"),
    [
        ("['Ann Lee']", "Ann Lee"), ('["Ann Lee"]', "Ann Lee"), ("['Ann', \"O'Neil\"]", "Ann, O'Neil"), ("[]", None),
        ("[Ann]", "[Ann]"), ("[1, 2]", "[1, 2]"), ("['a'", "['a'"), ("Ann", "Ann"), ("[" * 3000 + "]" * 3000, None),
    ],
)  # fmt: skip
def test_lists_of_names_are_names(tmp_path: Path, written: str, speaker: str | None) -> None:
    pl.DataFrame({"conversation_id": "c", "turn": 0, "speaker": written, "text": written}).write_csv(tmp_path / "x.csv")
    found = read(tmp_path)
    assert found["speaker"][0] == (written if len(written) > 100 else speaker) and found["text"][0] == written


def test_numbered_turns_need_no_column(tmp_path: Path) -> None:
    table = source("table", TableSettings(number_turns=True))
    (file,) = table.files(str(csv(tmp_path, "conversation_id,text", "c,a", "d,b")), None)
    [batch] = table.batches(file, None)
    assert batch["turn"].null_count() == 2 and batch["problem"].null_count() == 2


@pytest.mark.parametrize(
    "settings",
    [
        {"columns": {"turn": ["a", "b"]}}, {"columns": {"conversation_id": []}}, {"file_pattern": "calls.csv"},
        {"file_pattern": "{a}{a}.csv"}, {"file_pattern": "{1}.csv"}, {"records": ""}, {"records": "a..b.*"},
        {"records": "a.b"}, {"number_turns": True, "columns": {"turn": "n"}},
    ],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(settings: dict) -> None:
    with pytest.raises(ValidationError):
        TableSettings.model_validate(settings)


@pytest.mark.parametrize(("name", "hint"), [("x.xlsx", "save it as CSV"), ("x.csv.gz", "unpack it"), ("x.txt", "")])
def test_a_file_of_another_kind_is_not_called_a_folder_without_files(tmp_path: Path, name: str, hint: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(WorkflowError, match=f"{re.escape(name)} is a file of another kind.*{hint}"):
        read(tmp_path / name)
