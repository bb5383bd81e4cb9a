"""Files that end within a frame, a page or a packet, and those that end as they should."""

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from tasks.extractors.media.contents import kind_of
from tasks.extractors.media.ends import ends_within_frame
from tasks.extractors.media.files import MediaRoot
from tasks.extractors.media.sound import read_sound
from tasks.extractors.media.span import span
from tests.fixtures.media.recordings import RATE, encode, speech, write_film, write_recording

FRAMED = ("x.aac", "x.ts", "x.ac3", "x.mp2", "cbr.mp3", "vbr.mp3", "x.amr", "x.opus", "flac.ogg")
Content = Callable[[str], bytes]


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> Content:
    folder = tmp_path_factory.mktemp("recordings")

    def written(name: str) -> bytes:
        path = folder / name
        return (path if path.exists() else write_recording(path)).read_bytes()

    return written


def is_cut(path: Path, content: bytes) -> bool:
    path.write_bytes(content)
    with MediaRoot(str(path.parent)).open(path.name) as file:
        return ends_within_frame(file, kind_of(file))


def notes(path: Path, start: float | None = None, end: float | None = None) -> list[str]:
    with MediaRoot(str(path.parent)).open(path.name) as file:
        read_sound(file, path.name, span(start, end))
        return file.notes


@pytest.mark.parametrize("name", FRAMED)
def test_only_what_ends_within_a_frame_is_cut(content: Content, tmp_path: Path, name: str) -> None:
    whole = content(name)
    assert not is_cut(tmp_path / name, whole)
    assert all(is_cut(tmp_path / name, whole[:-lost]) for lost in (1, 5, 11))


@pytest.mark.parametrize("name", ["x.aac", "cbr.mp3", "x.mp2"])
@pytest.mark.parametrize("behind", [b"TAG" + bytes(125), b"APETAGEX" + bytes(24), bytes(500), b"noise \xff\xfe" * 9])
def test_what_stands_behind_the_sound_is_no_frame(content: Content, tmp_path: Path, name: str, behind: bytes) -> None:
    assert not is_cut(tmp_path / name, content(name) + behind)


@pytest.mark.parametrize("lost", [1, 100, 188, 3 * 188, 10_000])
def test_a_transport_stream_is_cut_within_a_packet_of_its_own_or_one_of_sound(
    content: Content, tmp_path: Path, lost: int
) -> None:
    assert is_cut(tmp_path / "x.ts", content("x.ts")[:-lost])


def test_a_transport_stream_with_pictures_with_times_or_cut_in_front_is_whole(tmp_path: Path) -> None:
    film = write_film(tmp_path / "film.ts").read_bytes()
    assert not is_cut(tmp_path / "x.ts", film) and not is_cut(tmp_path / "x.ts", film[1000:])
    with av.open(str(tmp_path / "timed.ts"), "w", format="mpegts", options={"mpegts_m2ts_mode": "1"}) as container:
        stream = container.add_stream("aac", rate=RATE)
        stream.layout = "mono"
        encode(container, stream, speech(2.0), RATE)
    timed = (tmp_path / "timed.ts").read_bytes()
    assert len(timed) % 192 == 0 and not is_cut(tmp_path / "x.ts", timed) and is_cut(tmp_path / "x.ts", timed[:-20])


@pytest.mark.parametrize("content", [b"", b"x", b"\xff", b"G" * 188, np.random.default_rng(3).bytes(50_000)])
def test_what_is_no_sound_is_not_cut(tmp_path: Path, content: bytes) -> None:
    assert not is_cut(tmp_path / "x.bin", content)


@pytest.mark.parametrize("name", ["x.aac", "x.ts", "x.opus"])
def test_the_seconds_that_were_read_are_named_where_the_rest_was_asked_for(
    content: Content, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_bytes(content(name)[: len(content(name)) // 3 + 77])
    for start, seconds in ((None, "2.0"), (1.0, "1.0")):
        (note,) = notes(tmp_path / name, start)
        assert "s of sound are left of a file that ends within a frame: it was cut" in note
        assert float(note.split()[0]) == pytest.approx(float(seconds), abs=0.06)
    assert notes(tmp_path / name, 0.5, 1.5) == []
