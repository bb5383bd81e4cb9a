"""JSON: an object a line, lists of objects, and documents that hold their rows somewhere deeper."""

import json
from pathlib import Path
from typing import Any

import pytest

from tasks.config.tables import TableSettings
from tasks.errors import WorkflowError
from tasks.sources.registry import source
from tasks.sources.tables import json_rows
from tests.fixtures.sources.tables import read_rows

FRIENDS = {
    "season_id": "s01",
    "episodes": [
        {
            "episode_id": "e01",
            "scenes": [
                {"id": f"c0{scene}", "cast": ["Ann Lee"], "utterances": [
                    {"id": f"u{turn}", "speakers": ["Ann Lee"][: 1 - turn % 2], "transcript": f"said {scene} {turn}",
                     "tokens": [["said"]], "emotion": "Joyful"}
                    for turn in range(2)
                ]}
                for scene in range(2)
            ],
        }
    ],
}  # fmt: skip
RECORDS = "episodes.*.scenes.*.utterances.*"


def write(path: Path, document: Any) -> Path:
    path.write_text(json.dumps(document))
    return path


def test_a_list_of_objects_is_a_table(tmp_path: Path) -> None:
    rows = read_rows(
        write(tmp_path / "x.json", [{"conversation_id": "c", "turn": i, "text": f"t{i}"} for i in range(3)])
    )
    assert [(row["row"], row["turn"], row["text"]) for row in rows] == [(1, "0", "t0"), (2, "1", "t1"), (3, "2", "t2")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_an_object_a_line_is_a_table_too_whatever_the_ending_and_the_encoding(tmp_path: Path, encoding: str) -> None:
    for name in ("x.json", "x.jsonl", "x.ndjson"):
        lines = (
            '{"conversation_id": "c", "turn": 0, "text": "你好\\u2028"}\r\n\r\n{"conversation_id": "c", "turn": 1}\r\n'
        )
        (tmp_path / name).write_bytes(lines.encode(encoding))
        rows = read_rows(tmp_path / name)
        assert [row["text"] for row in rows] == ["你好\u2028", None] and [row["turn"] for row in rows] == ["0", "1"]
        assert not any(row["problem"] for row in rows)


def test_nested_objects_give_their_fields_to_the_rows_within(tmp_path: Path) -> None:
    columns = {
        "conversation_id": ["season_id", "episode_id", "episodes.*.scenes.*.id"], "text": "transcript",
        "speaker": "speakers",
    }  # fmt: skip
    rows = read_rows(write(tmp_path / "x.json", FRIENDS), columns=columns, number_turns=True, records=RECORDS)
    assert [row["conversation_id"] for row in rows] == ["s01/e01/c00"] * 2 + ["s01/e01/c01"] * 2
    assert [row["speaker"] for row in rows] == ["Ann Lee", None] * 2 and rows[3]["text"] == "said 1 1"
    assert not any(row["problem"] for row in rows)


def test_an_inner_field_stands_before_an_outer_one(tmp_path: Path) -> None:
    columns = {"conversation_id": "episode_id", "turn": "*3", "speaker": "id"}
    rows = read_rows(write(tmp_path / "x.json", FRIENDS), columns=columns, records=RECORDS)
    assert [(row["turn"], row["speaker"]) for row in rows] == [("0", "u0"), ("1", "u1")] * 2


@pytest.mark.parametrize(
    ("document", "records", "columns"),
    [
        ([[{"text": "a"}, {"text": "b"}], [{"text": "c"}]], "*.*", {"conversation_id": "*1", "turn": "*2"}),
        ({"0": [{"text": "a"}, {"text": "b"}], "1": [{"text": "c"}]}, "*.*", {"conversation_id": "*1", "turn": "*2"}),
        ({"0": {"turns": ["a", "b"]}, "1": {"turns": ["c"]}}, "*.turns.*",
         {"conversation_id": "*1", "turn": "*2", "text": "value"}),
        ([{"id": 0, "dialog": [{"text": "a"}, {"text": "b"}]}, {"id": 1, "dialog": [{"text": "c"}]}], "*.dialog.*",
         {"conversation_id": "id", "turn": "*2"}),
        ({"data": {"conversations": [[{"text": "a"}, {"text": "b"}], [{"text": "c"}]]}}, "data.conversations.*.*",
         {"conversation_id": "*1", "turn": "*2"}),
    ],
)  # fmt: skip
def test_stars_are_columns(tmp_path: Path, document: Any, records: str, columns: dict[str, str]) -> None:
    rows = read_rows(write(tmp_path / "x.json", document), columns=columns, records=records)
    assert [(row["conversation_id"], row["turn"], row["text"]) for row in rows] == [
        ("0", "0", "a"), ("0", "1", "b"), ("1", "0", "c"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("document", "hint"),
    [
        (FRIENDS, RECORDS),
        ([[{"text": "a"}]], "*.*"),
        ({"data": [{"text": "a"}]}, "data.*"),
        ([{"id": 1, "turns": [{"text": "a"}]}], None),
    ],
)
def test_a_document_that_is_no_table_says_where_its_rows_may_be(
    tmp_path: Path, document: Any, hint: str | None
) -> None:
    path = write(tmp_path / "x.json", document)
    if hint is None:  # a list of objects: without a key
        assert [row["conversation_id"] for row in read_rows(path)] == [None]
    else:
        with pytest.raises(WorkflowError) as error:
            read_rows(path)
        assert f"say where its rows are: `records`, such as --set 'records={hint}'" in str(error.value)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "is not JSON"),
        (b'[{"a": 1}', "is not JSON"),
        (b"[1, 2]", "is a list of other things than objects"),
        (b'{"a": 1}', "is an object, and a table is a list"),
        (b"[" * 100_000, "is not JSON"),
        (b"\x00\x01", "is not JSON"),
    ],
)
def test_what_is_no_table_is_refused_in_words(tmp_path: Path, content: bytes, expected: str) -> None:
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(WorkflowError, match=expected):
        read_rows(tmp_path / "x.json")


def test_a_path_that_leads_nowhere_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(WorkflowError, match=r"nothing at `records` 'episodes\.\*\.acts\.\*'"):
        read_rows(write(tmp_path / "x.json", FRIENDS), records="episodes.*.acts.*")


def test_a_document_too_large_to_be_read_whole_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_rows, "LARGEST", 10)
    with pytest.raises(WorkflowError, match="write it as JSON Lines"):
        read_rows(write(tmp_path / "x.json", FRIENDS))


def test_documents_beside_tables_are_passed_over_unless_they_are_asked_for(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("conversation_id,turn\nc,0\n")
    write(tmp_path / "notes.json", {"made": "by hand"})
    assert [file.name for file in source("table").files(str(tmp_path), None)] == ["x.csv"]
    assert len(source("table", TableSettings(records="*")).files(str(tmp_path), None)) == 2
    (tmp_path / "x.csv").unlink()
    assert [file.name for file in source("table").files(str(tmp_path), None)] == ["notes.json"]
