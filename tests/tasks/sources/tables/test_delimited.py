"""CSV in batches: rows that cannot be read, and files that are no CSV of the wanted columns."""

from pathlib import Path

import pytest

from tasks.errors import WorkflowError
from tasks.sources.base import SourceFile
from tasks.sources.tables import delimited
from tasks.sources.tables.delimited import csv_batches


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


TRAILING = b"id,turn,text,,\nc,0,a,,\nc,1,b\nc,2,c,,,,\nc,3,hello, world,\nc,4\n"


def test_empty_columns_behind_the_last_are_none_and_what_stands_in_them_is_named(tmp_path: Path) -> None:
    [(values, notes)] = csv_batches(file(tmp_path, TRAILING), ("id", "turn"))
    assert values.columns == ["id", "turn", "text"] and values["text"].to_list() == ["a", "b", "c", "", ""]
    assert notes["problem"].to_list() == [
        None, None, None, "has a value in column 4, which the header does not name", "has 2 fields, the header 5",
    ]  # fmt: skip


def test_columns_without_a_name_between_others_are_nobodys(tmp_path: Path) -> None:
    """Pandas writes its index so."""
    [(values, notes)] = csv_batches(file(tmp_path, b",id,,turn\n0,c,x,1\n1,c,y,2\n"), ("id", "turn"))
    assert values.to_dict(as_series=False) == {"id": ["c", "c"], "turn": ["1", "2"]} and not any(notes["problem"])


@pytest.mark.parametrize("blank", [b"\n", b"\r\n", b"  \n", b",,\n", b' ,"",\t\n', b'""\n'])
def test_blank_rows_are_nothing_and_are_counted_in_the_numbers(tmp_path: Path, blank: bytes) -> None:
    [(values, notes)] = csv_batches(file(tmp_path, b"id,turn,text\n" + blank + b"c,0,x\n" + 3 * blank), ("id",))
    assert values["text"].to_list() == ["x"] and notes["row"].to_list() == [2] and not any(notes["problem"])


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig", "utf-8"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_encodings_and_delimiters_of_spreadsheets(tmp_path: Path, encoding: str, delimiter: str, end: str) -> None:
    rows = [("id", "turn", "text"), ("c", "0", '"Grüße; 你好, \U0001f600|"')]
    content = end.join(delimiter.join(row) for row in rows) + end
    [(values, notes)] = csv_batches(file(tmp_path, content.encode(encoding)), ("id", "turn"))
    assert values["text"].to_list() == ["Grüße; 你好, \U0001f600|"] and not any(notes["problem"])


def test_the_line_that_tells_excel_the_delimiter_is_no_header(tmp_path: Path) -> None:
    [(values, _)] = csv_batches(file(tmp_path, b"sep=;\r\nid;turn\r\nc,d;1\r\n"), ("id", "turn"))
    assert values.to_dicts() == [{"id": "c,d", "turn": "1"}]


def test_half_a_surrogate_pair_in_utf_16_costs_its_row(tmp_path: Path) -> None:
    content = "id,text\na,fine\nb,\ud800\nc,fine\n".encode("utf-16-le", "surrogatepass")
    [(values, notes)] = csv_batches(file(tmp_path, b"\xff\xfe" + content), ("id",))
    assert values["id"].to_list() == ["a", "", "c"] and notes["problem"].to_list() == [None, "is not valid UTF-8", None]


@pytest.mark.parametrize(
    ("row", "text"),
    [
        (r'"he said \"hi\" to me"', 'he said "hi" to me'),
        (r'"\"hi\""', '"hi"'),
        (r'"a \"b\", c"', 'a "b", c'),
        (r'"a \"b\" C:\\"', 'a "b" C:\\'),
        (r'"a \"b\" C:\new \N"', r'a "b" C:\new \N'),
        ('"a \\"b\\" ""c"""', 'a "b" "c"'),
    ],
)
def test_backslashes_before_quotes_escape_them_where_only_that_fits(tmp_path: Path, row: str, text: str) -> None:
    content = f'id,turn,text\nc,0,{row}\nc,1,"x ""y"" z"\nc,2,fine\n'.encode()
    [(values, notes)] = csv_batches(file(tmp_path, content), ("id",))
    assert values["text"].to_list() == [text, 'x "y" z', "fine"] and not any(notes["problem"])


@pytest.mark.parametrize(
    ("row", "text"),
    [('"C:\\"', "C:\\"), ('"say \\""hi\\"""', 'say \\"hi\\"'), ('say \\"hi', 'say \\"hi')],
)
def test_a_backslash_is_one_where_quotes_are_doubled(tmp_path: Path, row: str, text: str) -> None:
    content = f'id,turn,text\nc,0,{row}\nc,1,"x ""y"" z"\n'.encode()
    [(values, notes)] = csv_batches(file(tmp_path, content), ("id",))
    assert values["text"].to_list() == [text, 'x "y" z'] and not any(notes["problem"])


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\x89PNG\r\n\x1a\n\x00\x00", "the header lacks id, turn"),
        (b"", "the header lacks id, turn\n  found: empty"),
        (b'id,turn,text\nc,1,"open', "not readable as CSV at line 2"),
        (b"id,turn,turn\nc,1,1\n", "names a column twice"),
        ("id,turn\nc,1\n".encode("utf-16-le"), "UTF-16 without a byte order mark"),
        (b'id,turn,text\nc,0,"said ""ok\nc,1,fine\nc,2,"done"\n', "(?s)at line 4.*begins at line 2.*does not close"),
    ],
)
def test_another_format_is_an_error_that_says_what_was_expected(tmp_path: Path, content: bytes, expected: str) -> None:
    with pytest.raises(WorkflowError, match=expected):
        list(csv_batches(file(tmp_path, content), ("id", "turn")))
