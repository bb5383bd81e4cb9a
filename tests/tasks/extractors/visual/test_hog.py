"""Pictures from real videos, and their gradients."""

import struct
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from skimage.feature import hog

from tasks.extractors.base import Extracted
from tasks.extractors.media.files import MediaRoot
from tasks.extractors.registry import HOG_DIM
from tasks.extractors.visual.hog import Hog
from tests.fixtures import media as made
from tests.fixtures.media import utterances, write_pictures, write_video

ENDINGS = tuple(made.PICTURE_CODECS)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> MediaRoot:
    folder = tmp_path_factory.mktemp("videos")
    for ending in ENDINGS:
        write_video(folder / f"x{ending}", seconds=4)
    return MediaRoot(str(folder))


def describe(media: MediaRoot, *rows: dict[str, object]) -> Extracted:
    return Hog()(utterances(*rows), media)


def alone(path: Path, **span: float) -> NDArray[np.float32]:
    found = describe(MediaRoot(str(path.parent)), {"video": path.name, **span})
    assert found.valid.all()
    vector: NDArray[np.float32] = found.vectors[0]
    return vector


def still(path: Path, grey: NDArray[np.uint8]) -> Path:
    """A second of the same picture."""
    return write_pictures(path, iter([grey] * made.FRAME_RATE))


def bold(side: int) -> NDArray[np.uint8]:
    """A picture that looks the same neither upside down nor on its side."""
    y, x = np.mgrid[:side, :side] / side
    return np.where((x > 0.3) & (y < 0.6) & (x + y < 1.2), 220, 40).astype(np.uint8)


def described(path: Path, numbers: list[int]) -> NDArray[np.float64]:
    """Mean and deviation of the gradients of these frames, counted while the whole file is decoded."""
    with av.open(str(path)) as opened:
        greys = [frame.reformat(64, 64, "gray").to_ndarray() for frame in opened.decode(video=0)]
    found = [hog(greys[n], orientations=8, pixels_per_cell=(16, 16), cells_per_block=(2, 2)) for n in numbers]
    return np.concatenate([np.mean(found, axis=0), np.std(found, axis=0)])


def likeness(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Of two means of gradients."""
    return float(np.corrcoef(one[: HOG_DIM // 2], other[: HOG_DIM // 2])[0, 1])


@pytest.mark.long
@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(
    ("span", "numbers"),
    [
        ({}, list(range(0, 32, 2))),  # four a second
        ({"end_s": 0.1}, [0]),
        ({"start_s": 0.24, "end_s": 0.26}, [2]),
        ({"start_s": 1.0, "end_s": 1.6}, [8, 10, 12]),
        ({"start_s": 3.3, "end_s": 99.0}, [27]),
        ({"start_s": 3.3}, [27, 29, 31]),
    ],
)
def test_a_span_is_described_by_its_own_frames(
    videos: MediaRoot, ending: str, span: dict[str, float], numbers: list[int]
) -> None:
    path = Path(videos.url) / f"x{ending}"
    found = alone(path, **span)
    assert found.shape == (HOG_DIM,) and found.dtype == np.float32
    assert np.allclose(found, described(path, numbers), atol=1e-6)
    assert not np.allclose(found, described(path, [n - 1 for n in numbers]), atol=1e-2)


def test_the_frames_of_a_long_span_are_spread_over_it(tmp_path: Path) -> None:
    pictures = (made.picture(n / 50, 64, 64) for n in range(160))
    path = write_pictures(tmp_path / "x.mp4", pictures)
    assert np.allclose(alone(path), described(path, list(range(0, 160, 10))), atol=1e-6)


def test_a_vector_is_the_same_bits_in_any_company(videos: MediaRoot) -> None:
    rows = [{"video": f"x{ending}", "start_s": 0.6 * k, "end_s": 0.6 * k + 1} for k, ending in enumerate(ENDINGS)]
    rows.insert(2, {"video": "none.mp4"})
    together = describe(videos, *rows)
    assert together.valid.tolist() == [True, True, False, True, True]
    for row, found in reversed(list(zip(rows, together.vectors, strict=True))):
        assert np.array_equal(describe(videos, row).vectors[0], found)


@pytest.mark.parametrize(("width", "height"), [(192, 64), (64, 192), (128, 64), (50, 100), (640, 360), (66, 64)])
def test_the_middle_of_a_lying_or_standing_frame_is_described(tmp_path: Path, width: int, height: int) -> None:
    side = min(width, height)
    top, left = (height - side) // 2, (width - side) // 2
    frame = np.full((height, width), 128, np.uint8)
    frame[top : top + side, left : left + side] = bold(side)
    found, square = alone(still(tmp_path / "x.mp4", frame)), alone(still(tmp_path / "square.mp4", bold(side)))
    assert likeness(found, square) > 0.95


@pytest.mark.parametrize(
    ("matrix", "quarters"), [((0, 1, -1, 0), 3), ((0, -1, 1, 0), 1), ((-1, 0, 0, -1), 2), ((1, 0, 0, 1), 0)]
)
def test_a_frame_is_described_as_it_is_shown(tmp_path: Path, matrix: tuple[int, ...], quarters: int) -> None:
    """A phone held upright writes lying frames and a matrix that turns them."""
    grey = bold(64)
    path = still(tmp_path / "turned.mp4", grey)
    content = bytearray(path.read_bytes())
    a, b, c, d = (value << 16 for value in matrix)
    begin = content.index(b"tkhd") + 44
    content[begin : begin + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    shown = alone(still(tmp_path / "shown.mp4", np.rot90(grey, quarters)))
    assert likeness(alone(path), shown) > 0.95
    assert not quarters or likeness(shown, alone(still(tmp_path / "lying.mp4", grey))) < 0.8


@pytest.mark.parametrize(("width", "height"), [(8, 64), (64, 8), (8194, 32)])
def test_a_frame_too_small_or_large_is_a_reason(tmp_path: Path, width: int, height: int) -> None:
    still(tmp_path / "x.mp4", np.zeros((height, width), np.uint8))
    found = describe(MediaRoot(str(tmp_path)), {"video": "x.mp4"})
    assert not found.valid[0] and f"frames of {width} x {height} pixels" in str(found.reasons[0])


def test_no_video_is_no_vector_and_no_reason(videos: MediaRoot) -> None:
    found = describe(videos, {"text": "only"}, {"audio": "x.mp4"})
    assert found.reasons == [None, None] and not found.valid.any()


def test_what_cannot_be_described_says_why(videos: MediaRoot) -> None:
    folder = Path(videos.url)
    made.write_sound(folder / "sound.mp4", made.sound())
    content = (folder / "x.mp4").read_bytes()
    (folder / "cut.mp4").write_bytes(content[: len(content) // 2])
    (folder / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(50_000))
    (folder / "empty.mp4").write_bytes(b"")
    past = {"video": "x.mp4", "start_s": 4.5, "end_s": 5.0}
    between = {"video": "x.mp4", "start_s": 1.01, "end_s": 1.02}
    backwards = {"video": "x.mp4", "start_s": 2.0, "end_s": 1.0}
    files = [{"video": f"{name}.mp4"} for name in ("sound", "cut", "noise", "empty", "none")]
    found = describe(videos, *files, past, between, backwards, {"video": "x.mp4"})
    expected = [
        "no video track", "cannot be decoded", "cannot be decoded", "cannot be decoded", "no such file",
        "span starts at 4.5 s, past the end", "no frame in the span", "span 2-1 s is negative, empty or reversed",
    ]  # fmt: skip
    for reason, begin in zip(found.reasons[:-1], expected, strict=True):
        assert str(reason).startswith(begin)
    assert found.valid.tolist() == [False] * len(expected) + [True] and not found.vectors[:-1].any()


@pytest.mark.parametrize("name", ["x.mp3", "x.flac", "x.m4a"])
def test_a_recording_whose_only_picture_is_its_cover_has_none_and_no_fault(tmp_path: Path, name: str) -> None:
    made.write_with_cover(tmp_path / name)
    found = describe(MediaRoot(str(tmp_path)), *({"video": name, "start_s": at, "end_s": at + 1} for at in (0.0, 0.5)))
    assert found.reasons == [None, None] and not found.valid.any()


@pytest.mark.parametrize("marked", [True, False])
def test_a_cover_before_the_pictures_does_not_hide_them(tmp_path: Path, marked: bool) -> None:
    """Matroska counts no frames, and an ordinary track may hold the cover."""
    made.write_with_cover(tmp_path / "x.mkv", marked, pictures=16)
    assert np.any(alone(tmp_path / "x.mkv", start_s=0.5, end_s=1.5))


@pytest.mark.parametrize("ending", [".mkv", ".webm", ".ts"])
def test_a_file_cut_short_is_described_by_what_is_left(videos: MediaRoot, tmp_path: Path, ending: str) -> None:
    content = (Path(videos.url) / f"x{ending}").read_bytes()
    (tmp_path / f"x{ending}").write_bytes(content[: len(content) // 2])
    begin = {"start_s": 0.0, "end_s": 1.0}
    assert np.array_equal(alone(tmp_path / f"x{ending}", **begin), alone(Path(videos.url) / f"x{ending}", **begin))


damage = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=12)


@pytest.mark.long
@given(st.sampled_from(ENDINGS), damage, st.floats(0, 1, exclude_max=True), st.booleans())
@settings(max_examples=80)
def test_damaged_bytes_give_a_vector_or_a_reason_and_twice_the_same(
    videos: MediaRoot, ending: str, damage: list[tuple[float, int]], cut: float, whole: bool
) -> None:
    content = bytearray((Path(videos.url) / f"x{ending}").read_bytes())
    for place, value in damage:
        content[int(place**3 * len(content))] = value  # more of it in the headers
    (Path(videos.url) / f"damaged{ending}").write_bytes(content if whole else content[: int(cut * len(content))])
    row = {"video": f"damaged{ending}"}
    found = describe(videos, row, row)
    assert (found.valid[0] or found.reasons[0]) and found.reasons[0] == found.reasons[1]
    assert np.isfinite(found.vectors).all() and np.array_equal(*found.vectors)
