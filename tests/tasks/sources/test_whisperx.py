import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tasks.errors import WorkflowError
from tasks.sources.registry import source
from tasks.storage.workspace import Workspace
from tests.fixtures.sources.ingested import ingest_source, read_archive


def segment(begin: float, said: str, who: str | None = "SPEAKER_00", **more: Any) -> dict[str, Any]:
    words = [
        {"word": word, "start": begin + i / 4, "end": begin + i / 4 + 0.2, "score": 0.9}
        for i, word in enumerate(said.split())
    ]
    found = {"start": begin, "end": begin + len(words) / 4, "text": f" {said}", "words": words}
    return found | ({"speaker": who} if who else {}) | more


def write(path: Path, *segments: Any) -> Path:
    """A transcript of WhisperX's shape."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"segments": segments, "word_segments": [], "language": "en"}))
    return path


def read(path: Path) -> pl.DataFrame:
    whisperx = source("whisperx")
    return pl.concat([batch for file in whisperx.files(str(path), None) for batch in whisperx.batches(file, None)])


def test_segments_are_utterances_of_one_conversation(tmp_path: Path) -> None:
    write(tmp_path / "day" / "call.json", segment(0.5, "Hello there"), segment(2, "Hi", "SPEAKER_01"))
    (tmp_path / "day" / "call.mp3").touch()
    found = read(tmp_path)
    assert found["conversation_id"].to_list() == ["day/call"] * 2 and found["turn"].to_list() == ["0", "1"]
    assert found["text"].to_list() == ["Hello there", "Hi"]
    assert found["speaker"].to_list() == ["SPEAKER_00", "SPEAKER_01"]
    assert found["start_s"].to_list() == ["0.5", "2"] and found["end_s"].to_list() == ["1.0", "2.25"]
    assert found["audio"].to_list() == ["day/call.mp3"] * 2 and found["video"].null_count() == 2


def test_words_say_what_their_segment_does_not(tmp_path: Path) -> None:
    agreed = segment(1, "a b", None, start=None, end=None)
    agreed["words"] = [{"word": "a"}, *({"speaker": "X"} | word for word in agreed["words"])]
    mixed = segment(3, "a b", None)
    mixed["words"] = [word | {"speaker": speaker} for word, speaker in zip(mixed["words"], "XY", strict=True)]
    found = read(write(tmp_path / "a.json", agreed, mixed))
    assert found["speaker"].to_list() == ["X", None]
    assert found["start_s"][0] == "1.0" and found["end_s"][0] == "1.45"


ODD: list[tuple[Any, str]] = [
    ([1], "segment is a JSON list, not an object"),
    ({"start": 1, "text": " "}, "segment has no end"),
    (segment(1, "x", text={"a": 1}), "segment's text is a JSON dict"),
    (segment(1, "x", text="\ud800"), "is not valid Unicode"),
    (segment(1, "x", None, words=[{"speaker": "\ud800"}]), "is not valid Unicode"),
    (segment(1, "", start=float("nan"), words=[]), "segment has no start"),
    (segment(1, "", start=None, words=[{"start": [1], "end": 2}]), "segment has no start"),
    (segment(1, ""), "neither text nor media"),
]


def test_segments_that_cannot_be_used_are_rejected_and_the_rest_goes_on(workspace: Workspace, tmp_path: Path) -> None:
    write(tmp_path / "a.json", segment(0, "first"), *(odd for odd, _ in ODD), segment(5, "last"))
    manifest = ingest_source(workspace, tmp_path / "a.json", kind="whisperx")
    assert (manifest.counts["rows_in"], manifest.rows) == (len(ODD) + 2, 2)
    rejected = read_archive(workspace, "rejected").sort("row")
    assert rejected["reason"].to_list() == [reason for _, reason in ODD]
    assert rejected["row"].to_list() == list(range(2, len(ODD) + 2))
    assert all(json.loads(content) for content in rejected["content"])


NO_TIME: list[dict[str, Any]] = [
    {"text": "x"},
    {"text": "x", "start": None, "end": None, "words": []},
    {"text": "x", "start": float("nan"), "end": float("nan")},
    {"text": "x", "start": float("inf"), "end": 7},
    {"text": "x", "end": 3.25},
    {"text": "x", "start": "soon", "end": "later"},
    {"text": "x", "start": [3], "end": {"s": 4}},
    {"text": "x", "start": True, "end": True},
    {"text": "x", "words": [{"word": "x"}, {"word": "y", "start": "?", "end": None}]},
]


@pytest.mark.parametrize("odd", NO_TIME)
def test_a_segment_without_a_time_keeps_its_text_in_its_turn_and_is_counted(
    workspace: Workspace, tmp_path: Path, odd: dict[str, Any]
) -> None:
    write(tmp_path / "a.json", odd, segment(2, "first"), odd, segment(4, "second"), odd)
    (tmp_path / "a.wav").touch()
    manifest = ingest_source(workspace, tmp_path / "a.json", kind="whisperx")
    assert (manifest.rows, manifest.counts["rejected"]) == (5, 0)
    found = read_archive(workspace, "utterances").sort("turn")
    assert found["text"].to_list() == ["x", "first", "x", "second", "x"]
    for column in ("start_s", "end_s", "audio"):  # without a span the whole recording would be the utterance's
        assert found[column].is_null().to_list() == [True, False, True, False, True]
    assert {manifest.counts.get(f"unreadable.{name}", 0) for name in ("start_s", "end_s")} <= {0, 3}
    assert sum(manifest.counts.get(f"unreadable.{name}", 0) for name in ("start_s", "end_s")) >= 3


def test_a_segment_without_an_end_has_its_turn_by_its_start(tmp_path: Path) -> None:
    found = read(write(tmp_path / "a.json", segment(5, "last"), {"text": "x", "start": 3.25}, segment(1, "first")))
    assert found["text"].to_list() == ["first", "x", "last"] and found["end_s"][1] == "null"


def test_a_number_that_is_written_as_text_is_a_time(tmp_path: Path) -> None:
    found = read(write(tmp_path / "a.json", segment(1, "x", start="1.5", end="2.5")))
    assert (found["start_s"][0], found["end_s"][0]) == ("1.5", "2.5")


def test_nan_is_no_value_and_the_words_say_what_they_have(tmp_path: Path) -> None:
    nan = float("nan")
    words = [{"word": "a", "start": nan, "speaker": nan}, {"word": "b", "start": 1.5, "end": 2.5, "speaker": "S1"}]
    first = segment(1, "x", start=nan, end=nan, words=words, speaker=nan)
    write(tmp_path / "a.json", first, segment(3, "", "nan", text=nan), segment(4, "y", speaker=1.0))
    found = read(tmp_path)
    assert found["problem"].null_count() == 3
    assert found["start_s"].to_list() == ["1.5", "3", "4"] and found["end_s"][0] == "2.5"
    assert found["speaker"].to_list() == ["S1", None, "1"] and found["text"].to_list() == ["x", "", "y"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"segments": [', "is not JSON: "),
        (b"", "is not JSON: "),
        (b'{"text": "no segments"}', "is not a JSON object with a list of `segments`"),
        (b"[[[1]]]", "is not a JSON object with a list of `segments`"),
        (b"[" * 100_000, "is JSON nested without end"),
        (b'{"segments": [{"text": ' + b"[" * 900 + b"]" * 900 + b"}]}", "segment's text is a JSON list"),
        (b"\x00\x01\x02", "is not text"),
    ],
)
def test_a_file_that_cannot_be_read_costs_itself_alone(tmp_path: Path, content: bytes, reason: str) -> None:
    write(tmp_path / "b.json", segment(0, "Hello"))
    (tmp_path / "a.json").write_bytes(content)
    found = read(tmp_path)
    assert len(found) == 2 and found["problem"][0].startswith(reason) and found["text"][1] == "Hello"


def test_a_recording_that_comes_later_is_found(workspace: Workspace, tmp_path: Path) -> None:
    folder = write(tmp_path / "in" / "a.json", segment(0, "Hello")).parent
    assert ingest_source(workspace, folder, kind="whisperx").counts["video"] == 0
    (folder / "a.mp4").touch()
    assert ingest_source(workspace, folder, kind="whisperx").counts["video"] == 1


@pytest.mark.long
def test_many_small_files_are_scanned_in_their_order(workspace: Workspace, tmp_path: Path) -> None:
    for n in range(150):
        write(tmp_path / "in" / f"{n:03d}.json", segment(1, f"of {n}"), segment(0, "before"), None)
    manifest = ingest_source(workspace, tmp_path / "in", kind="whisperx")
    assert (manifest.rows, manifest.counts["rejected"]) == (300, 150)
    found = read_archive(workspace, "utterances").sort("conversation_id", "turn")
    assert found["text"].to_list() == [text for n in range(150) for text in ("before", f"of {n}")]
    assert read_archive(workspace, "rejected")["file"].n_unique() == 150


def test_nothing_there_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(WorkflowError, match="expected: a JSON file with `segments`"):
        read(tmp_path)
