"""Frames that are taken of a stretch, by the numbers in them."""

from pathlib import Path

import av
import numpy as np
import pytest

from tasks.extractors.media.container import container
from tasks.extractors.media.files import MediaFault, MediaRoot, span
from tasks.extractors.media.frames import sampled, upright
from tests.fixtures import media as made


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight seconds, eight frames in each."""
    return made.write_numbered(tmp_path_factory.mktemp("video") / "x.mp4", 64)


def numbers(path: Path, start: float | None, end: float | None, per_second: float, most: int) -> list[int]:
    with MediaRoot(str(path.parent)).open(path.name) as file, container(file) as opened:
        return [made.number_of(frame) for frame in sampled(opened, span(start, end), per_second, most)]


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
