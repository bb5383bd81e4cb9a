"""CSV in batches: rows that cannot be read, and files that are no CSV of the wanted columns."""

from pathlib import Path

import pytest

from tasks.errors import WorkflowError
from tasks.sources import delimited
from tasks.sources.base import SourceFile
from tasks.sources.delimited import csv_batches


def file(folder: Path, content: bytes) -> SourceFile:
    path = folder / "x.csv"
    path.write_bytes(content)
    return SourceFile(str(path), path.name, len(content))


def test_rows_that_cannot_be_read_say_why_and_the_rest_goes_on(tmp_path: Path) -> None:
    content = b"\xef\xbb\xbfid,turn,text\nc,0,fine\nc,1\nc,2,\xff\xfe\nc,3,a,b\nc,4,fine\n"
    [(values, notes)] = csv_batches(file(tmp_path, content), ("id", "turn"))
    assert notes["problem"].to_list() == [
        None, "has 2 fields, the header 3", "is not valid UTF-8", "has 4 fields, the header 3", None,
    ]  # fmt: skip
    assert notes["row"].to_list() == [1, 2, 3, 4, 5] and notes["content"].to_list()[1] == '["c", "1"]'
    assert values["turn"].to_list() == ["0", "", "", "", "4"]


def test_a_column_may_be_called_as_a_note_is(tmp_path: Path) -> None:
    [(values, notes)] = csv_batches(file(tmp_path, b"row,problem\nseven,none\n"), ("row",))
    assert values.to_dicts() == [{"row": "seven", "problem": "none"}]
    assert notes.to_dicts() == [{"row": 1, "problem": None, "content": None}]


def test_row_numbers_go_on_from_batch_to_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "BATCH_ROWS", 2)
    batches = list(csv_batches(file(tmp_path, b"id\na\nb\nc\n"), ("id",)))
    assert [notes["row"].to_list() for _, notes in batches] == [[1, 2], [3]]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\x89PNG\r\n\x1a\n\x00\x00", "the header lacks id, turn"),
        (b"", "the header lacks id, turn\n  found: empty"),
        (b'id,turn,text\nc,1,"open', "not readable as CSV at line 2"),
        (b"id,turn,turn\nc,1,1\n", "names a column twice"),
    ],
)
def test_another_format_is_an_error_that_says_what_was_expected(tmp_path: Path, content: bytes, expected: str) -> None:
    with pytest.raises(WorkflowError, match=expected):
        list(csv_batches(file(tmp_path, content), ("id", "turn")))
