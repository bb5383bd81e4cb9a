"""What the bytes of a file say: its kind, whether it holds more than its header counts, where joined files begin."""

from pathlib import Path

import pytest

from tasks.extractors.media.contents import holds_more, kind_of, lost_bytes, parts
from tasks.extractors.media.files import MediaRoot
from tests.fixtures.media.recordings import write_recording

KINDS = {
    "x.wav": "wav", "rf64.wav": "wav", "x.w64": "w64", "x.aiff": "aiff", "x.avi": "avi", "x.flac": "flac",
    "x.ogg": "ogg", "x.opus": "ogg", "cbr.mp3": "mp3", "vbr.mp3": "mp3", "x.mp2": "mp3", "x.aac": "adts",
    "x.m4a": "mp4", "x.mkv": "mkv", "x.webm": "mkv", "x.flv": "flv", "x.caf": "caf", "x.tta": "tta", "x.wma": "asf",
    "x.amr": "amr", "x.wv": "wavpack", "x.ac3": "stream", "x.ts": "other",
}  # fmt: skip
BY_BYTES = {name for name, kind in KINDS.items() if kind not in ("flac", "ogg", "adts", "stream", "other")} - {"x.mp2"}


@pytest.mark.parametrize("name", KINDS)
def test_a_file_s_kind_and_what_is_joined_to_it(tmp_path: Path, name: str) -> None:
    content = write_recording(tmp_path / name, 2.0).read_bytes()
    (tmp_path / "two").write_bytes(content * 2)
    (tmp_path / "half").write_bytes(content[: len(content) // 2])
    root = MediaRoot(str(tmp_path))
    with root.open(name) as one, root.open("two") as two, root.open("half") as half:
        kind = kind_of(one)
        assert kind == KINDS[name] and parts(one, kind) == [0] and not lost_bytes(one, kind)
        assert holds_more(two, kind)
        if name in BY_BYTES:
            begins = parts(two, kind)
            assert len(begins) == 2 and len(content) <= begins[1] < len(content) + 64  # behind its tag
        if kind in ("wav", "w64", "aiff", "avi", "mkv"):
            assert lost_bytes(half, kind) == len(content) - len(content) // 2


@pytest.mark.parametrize("name", ["x.wav", "x.aiff", "x.avi", "x.flac", "x.ogg", "vbr.mp3", "x.m4a", "x.mkv"])
def test_a_sound_file_holds_no_more_than_its_header_counts(tmp_path: Path, name: str) -> None:
    write_recording(tmp_path / name, 2.0)
    with MediaRoot(str(tmp_path)).open(name) as file:
        assert not holds_more(file, kind_of(file))


@pytest.mark.parametrize(
    "content", [b"", b"R", b"RIFF", b"\xff", bytes(64), b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f", b"text " * 99]
)
def test_what_is_no_media_is_of_no_kind(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    with MediaRoot(str(tmp_path)).open("x") as file:
        assert kind_of(file) == "other" and parts(file, "other") == [0] and not lost_bytes(file, "other")
