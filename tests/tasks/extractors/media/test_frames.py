"""Frames that are taken of a stretch, by the numbers in them."""

import re
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition

from tasks.extractors.media.container import container
from tasks.extractors.media.files import MediaRoot
from tasks.extractors.media.frames import sampled, upright
from tasks.extractors.media.span import Absent, MediaFault, span
from tests.fixtures import media as made
from tests.fixtures.media.recordings import encode, speech, write_film


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight seconds, eight frames in each."""
    return made.write_numbered(tmp_path_factory.mktemp("video") / "x.mp4", 64)


def numbers(path: Path, start: float | None, end: float | None, per_second: float, most: int) -> list[int]:
    with MediaRoot(str(path.parent)).open(path.name) as file, container(file) as opened:
        return [made.number_of(frame) for frame in sampled(file, opened, span(start, end), per_second, most)]


@pytest.mark.parametrize(
    ("start", "end", "per_second", "most", "expected"),
    [
        (None, None, 4.0, 100, list(range(0, 64, 2))),
        (None, None, 4.0, 16, list(range(0, 64, 4))),  # further apart
        (1.0, 3.0, 4.0, 4, [8, 12, 16, 20]),
        (1.0, 1.6, 4.0, 16, [8, 10, 12]),
        (0.24, 0.26, 4.0, 16, [2]),
        (7.3, 99.0, 4.0, 16, [59]),
        (7.3, None, 4.0, 16, [59, 61, 63]),
        (2.0, 3.0, 120.0, 1024, list(range(16, 24))),  # no frame twice
    ],
)
def test_frames_are_evenly_spaced_over_the_stretch(
    video: Path, start: float | None, end: float | None, per_second: float, most: int, expected: list[int]
) -> None:
    assert numbers(video, start, end, per_second, most) == expected


def test_a_stretch_between_two_frames_is_a_fault(video: Path) -> None:
    with pytest.raises(MediaFault, match=r"no frame in the span from 1\.01 s"):
        numbers(video, 1.01, 1.02, 4, 16)


@pytest.mark.parametrize(("width", "height"), [(8, 64), (64, 8), (8194, 32)])
def test_a_frame_too_small_or_large_is_a_fault(tmp_path: Path, width: int, height: int) -> None:
    made.write_video(tmp_path / "x.mp4", 0.5, width, height)
    with pytest.raises(MediaFault, match=f"frames of {width} x {height} pixels; a side between 16 and 8192"):
        numbers(tmp_path / "x.mp4", None, None, 4, 16)


@pytest.mark.parametrize(("rotation", "quarters"), [(0, 0), (90, 1), (180, 2), (-90, 3)])
def test_a_picture_is_turned_as_it_is_shown(rotation: int, quarters: int) -> None:
    picture = np.arange(12, dtype=np.uint8).reshape(3, 4)

    class Turned:
        def __init__(self) -> None:
            self.rotation = rotation

    assert np.array_equal(upright(picture, Turned()), np.rot90(picture, quarters))
    assert av.VideoFrame(4, 3, "gray").rotation == 0


def notes(path: Path, start: float | None, end: float | None) -> list[str]:
    with MediaRoot(str(path.parent)).open(path.name) as file, container(file) as opened:
        list(sampled(file, opened, span(start, end), 4, 16))
        return file.notes


@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".ts"])
def test_a_span_that_the_picture_does_not_fill_says_how_much_there_was(tmp_path: Path, ending: str) -> None:
    path = write_film(tmp_path / f"x{ending}", picture_from=3.0)
    assert notes(path, 4.0, 5.5) == []
    (late,) = notes(path, 2.0, 4.0)
    assert re.fullmatch(r"pictures of (0\.9|1\.0)\d s, and not of the 2\.00 s asked for", late)
    (short,) = notes(path, 5.0, 8.0)
    assert re.fullmatch(r"pictures of (0\.9|1\.0)\d s, and not of the 3\.00 s asked for", short)
    with pytest.raises(MediaFault, match=r"no frame in the span from 0\.5 s"):
        numbers(path, 0.5, 2.0, 4, 16)


def test_a_picture_that_does_not_move_is_named(tmp_path: Path) -> None:
    path = made.write_pictures(tmp_path / "x.mkv", (np.full((64, 64), 90, np.uint8) for _ in range(16)))
    assert notes(path, 0.0, 1.5) == ["a still picture, 6 times the same"]


@pytest.mark.parametrize("ending", [".mp4", ".m4a", ".mkv"])
def test_a_cover_is_no_picture(tmp_path: Path, ending: str) -> None:
    """Neither one that is marked as such nor a track of a single picture."""
    path = tmp_path / f"x{ending}"
    with av.open(str(path), "w", format="mp4" if ending == ".m4a" else None) as made_of:
        sound = made_of.add_stream("aac", rate=16_000)
        sound.layout = "mono"
        cover = made_of.add_stream("mjpeg", rate=1)
        cover.width = cover.height = 64
        cover.pix_fmt = "yuvj420p"
        if ending != ".mp4":
            cover.disposition = Disposition.attached_pic
        made_of.mux(cover.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")))
        made_of.mux(cover.encode())
        encode(made_of, sound, speech(), 16_000)
    for start, end in ((2.0, 4.0), (0.0, 2.0), (None, None)):
        with pytest.raises(Absent, match=r"no video track but a (cover|still picture)"):
            numbers(path, start, end, 4, 16)


def test_a_frame_is_as_wide_as_it_is_shown(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "x.mkv"), "w") as made_of:
        stream = made_of.add_stream("mpeg4", rate=8)
        stream.width, stream.height, stream.pix_fmt = 72, 64, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(16, 9)
        for shade in range(8):
            made_of.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((64, 72), shade, np.uint8), format="gray")))
        made_of.mux(stream.encode())
    with MediaRoot(str(tmp_path)).open("x.mkv") as file, container(file) as opened:
        assert {(frame.width, frame.height) for frame in sampled(file, opened, span(None, None), 4, 16)} == {(128, 64)}
