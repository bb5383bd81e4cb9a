import json
from pathlib import Path

import pytest

from tasks.sources.base import SourceFile
from tasks.sources.transcript import LARGEST, Spoken, Unreadable, conversation, read_text, rejected, unreadable


def file(path: Path, content: bytes) -> SourceFile:
    path.write_bytes(content)
    return SourceFile(str(path), path.name, len(content), audio="x.wav")


def test_utterances_are_numbered_in_the_order_of_time(tmp_path: Path) -> None:
    spoken = [
        Spoken(1, "2.5", "3", "A", "second"),
        rejected(2, "is odd", "?"),
        Spoken(3, "0.5", "1", "B", "first"),
        Spoken(4, "10", "11", None, "third", audio="clip.wav"),
        Spoken(5, "soon", "12", None, "no one knows"),
        Spoken(6, "2.75", "3", None, "soon after"),
        Spoken(7, None, None, None, "behind it"),
    ]
    found = conversation(file(tmp_path / "a.json", b""), "a", spoken, "train").sort("row")
    assert found["turn"].to_list() == ["1", "6", "0", "4", "5", "2", "3"]
    assert found["audio"].to_list()[2:4] == ["x.wav", "clip.wav"] and set(found["split"]) == {"train"}
    assert found["problem"][1] == "is odd" and json.loads(found["content"][1]) == "?"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_text_is_read_with_or_without_a_mark(tmp_path: Path, encoding: str) -> None:
    assert read_text(file(tmp_path / "a.srt", "Grüße\r\n".encode(encoding))) == "Grüße\r\n"


def test_what_is_no_text_or_too_large_is_one_row(tmp_path: Path) -> None:
    picture = file(tmp_path / "a.srt", b"\x89PNG\r\n\x1a\n\x00\x00")
    with pytest.raises(Unreadable, match="is not text") as error:
        read_text(picture)
    found = unreadable(picture, error.value)
    assert found["problem"].to_list() == ["is not text"] and "PNG" in found["content"][0]
    with pytest.raises(Unreadable, match="is larger than 64 MB"):
        read_text(SourceFile("nowhere", "nowhere", LARGEST + 1))
