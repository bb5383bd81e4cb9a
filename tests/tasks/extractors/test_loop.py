"""The loop over utterances: one opening for those of one file, and the same reading in any company."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from tasks.extractors.base import Extracted
from tasks.extractors.loop import PICTURES, SOUND, read_each
from tasks.extractors.media.container import container
from tasks.extractors.media.files import MediaRoot
from tasks.extractors.media.frames import sampled
from tasks.extractors.media.opened import MediaFile
from tasks.extractors.media.sound import read_sound
from tasks.extractors.media.span import Span
from tests.fixtures import media as made
from tests.fixtures.media import sound, utterances, write_sound, write_video

ENDINGS = (".wav", ".flac", ".ogg", ".mp3", ".m4a", ".mp4", ".mov", ".mkv", ".webm")
SECONDS = 20

Read = Callable[[MediaFile, str, Span], Any]


class Counting(MemoryFileSystem):
    """A store that remembers what was opened."""

    protocol = "counting"
    cachable = False
    opened: list[str] = []  # noqa: RUF012

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return MemoryFileSystem._strip_protocol(path.replace("counting://", "memory://"))

    def _open(self, path: str, *args: Any, **kwargs: Any) -> Any:
        self.opened.append(path.rsplit("/", 1)[-1])
        return super()._open(path, *args, **kwargs)


@pytest.fixture
def store() -> MediaRoot:
    """Two recordings and their store, which was asked for nothing yet."""
    fsspec.register_implementation("counting", Counting, clobber=True)
    Counting.opened.clear()
    for name in ("a", "b"):
        MemoryFileSystem().pipe(f"/each-test/{name}", b"0123456789")
    return MediaRoot("counting://each-test")


def digit(file: MediaFile, _: str, stretch: Span) -> int:
    view = file.view()
    view.seek(int(stretch.start))
    found = view.read(1)
    if not found:
        raise stretch.past_the_end()
    return int(found)


def read(media: MediaRoot, *rows: dict[str, object], by: Read = digit) -> tuple[dict[int, Any], Extracted]:
    found = Extracted.none(len(rows), 1)
    return dict(read_each(utterances(*rows), SOUND, media, by, found)), found


def test_a_file_is_opened_once_for_utterances_that_follow_one_another(store: MediaRoot) -> None:
    rows = [{"audio": name, "start_s": float(at)} for name in ("a", "b", "a") for at in range(1, 6)]
    found, _ = read(store, *rows)
    assert found == {row: row % 5 + 1 for row in range(15)} and Counting.opened == ["a", "b", "a"]


def test_what_is_wrong_with_one_stretch_costs_that_alone(store: MediaRoot) -> None:
    spans = [(1.0, 2.0), (99.0, None), (2.0, 1.0), (3.0, None), (None, None), (4.0, 5.0)]
    rows = [{"audio": "a", "start_s": start, "end_s": end} for start, end in spans]
    found, extracted = read(store, {"audio": "none"}, *rows, {"text": "only"})
    assert found == {1: 1, 4: 3, 5: 0, 6: 4}
    assert [row for row, reason in enumerate(extracted.reasons) if reason] == [0, 2, 3]
    assert Counting.opened == ["a"] * 2  # anew for the beginning; a span past the end is no fault of the file


@pytest.mark.parametrize("ending", [".wav", ".mp3", ".m4a"])
def test_how_long_each_stretch_was_is_noted_where_something_was_read(tmp_path: Path, ending: str) -> None:
    write_sound(tmp_path / f"x{ending}", sound(5))
    spans = [(None, None), (1.0, 2.5), (4.0, None), (4.5, 60.0), (99.0, None)]
    rows = [{"audio": f"x{ending}", "start_s": start, "end_s": end} for start, end in spans]
    _, found = read(MediaRoot(str(tmp_path)), *rows, {"text": "only"}, by=read_sound)
    assert found.seconds == pytest.approx([5, 1.5, 1, 0.5, 0, 0], abs=0.1)  # a codec pads
    assert found.reasons[4] is not None


def test_how_long_a_stretch_is_of_a_file_without_a_length_says_its_end_alone(store: MediaRoot) -> None:
    _, found = read(store, {"audio": "a"}, {"audio": "a", "start_s": 1.0, "end_s": 3.0})
    assert found.seconds is not None and found.seconds.tolist() == [0, 2]


def test_a_failing_store_goes_up_and_takes_nothing_with_it(tmp_path: Path) -> None:
    fsspec.register_implementation("broken", made.BrokenStore, clobber=True)
    made.BrokenStore().pipe("/each-test/x.wav", write_sound(tmp_path / "x.wav", sound(8)).read_bytes())
    rows = [{"audio": "x.wav", "start_s": at, "end_s": at + 1} for at in (1.0, 6.0)]
    with pytest.raises(OSError, match="the store is gone"):
        read(MediaRoot("broken://each-test"), *rows, by=read_sound)


@pytest.mark.long
@pytest.mark.parametrize("ending", ENDINGS)
def test_sound_is_the_same_whatever_was_read_before(tmp_path: Path, ending: str) -> None:
    write_sound(tmp_path / f"x{ending}", sound(SECONDS, 48_000, 2), 48_000)
    rows = [{"audio": f"x{ending}"} | stretch for stretch in stretches(20)]
    together, _ = read(MediaRoot(str(tmp_path)), *rows, by=read_sound)
    for row, (samples, rate) in together.items():
        alone, _ = read(MediaRoot(str(tmp_path)), rows[row], by=read_sound)
        assert (rate, len(samples)) == (alone[0][1], len(alone[0][0]))
        if ending == ".mp3":  # its decoder's own rounding
            assert np.abs(samples - alone[0][0]).max() < 1e-6
        else:
            assert np.array_equal(samples, alone[0][0])
    assert len(together) == 20


@pytest.mark.long
@pytest.mark.parametrize("ending", made.PICTURE_CODECS)
def test_pictures_are_the_same_whatever_was_read_before(tmp_path: Path, ending: str) -> None:
    write_video(tmp_path / f"x{ending}", SECONDS)
    rows = [{"video": f"x{ending}"} | stretch for stretch in stretches(20)]
    found = Extracted.none(20, 1)
    together = dict(read_each(utterances(*rows), PICTURES, MediaRoot(str(tmp_path)), pictures, found))
    for row, seen in together.items():
        alone = dict(read_each(utterances(rows[row]), PICTURES, MediaRoot(str(tmp_path)), pictures, found))
        assert np.array_equal(seen, alone[0])
    assert len(together) == 20


def pictures(file: MediaFile, _: str, stretch: Span) -> Any:
    with container(file) as opened:
        return np.stack([frame.to_ndarray(format="gray") for frame in sampled(file, opened, stretch, 4, 16)])


def stretches(count: int) -> list[dict[str, object]]:
    """Here and there, back and forth, from the beginning and to the end."""
    chance = np.random.default_rng(0)
    starts, lengths = chance.uniform(0, SECONDS - 4, count).round(2), chance.uniform(0.3, 4, count).round(2)
    found: list[dict[str, object]] = [
        {"start_s": float(start), "end_s": float(start + length)} for start, length in zip(starts, lengths, strict=True)
    ]
    found[3], found[7], found[11] = {"start_s": 0.0, "end_s": 1.0}, {"start_s": 0.2, "end_s": 1.5}, {"start_s": 17.5}
    return found
