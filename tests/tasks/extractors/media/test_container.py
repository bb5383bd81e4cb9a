"""Containers on real files: tracks, and frames with the right times wherever decoding begins."""

import math
from pathlib import Path
from typing import Any

import av
import fsspec
import pytest

from tasks.extractors.media.container import container, frames, track
from tasks.extractors.media.files import MediaRoot
from tasks.extractors.media.span import MediaFault, span
from tests.fixtures import media as made


def times_of(
    root: MediaRoot, uri: str, start: float | None = None, end: float | None = None
) -> list[tuple[float, Any]]:
    with root.open(uri) as file, container(file) as opened:
        return list(frames(opened, track(opened, "video"), span(start, end)))


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> MediaRoot:
    """Eight seconds each; a broadcast (ts) does not begin at zero and has no index."""
    folder = tmp_path_factory.mktemp("videos")
    for ending in made.PICTURE_CODECS:
        made.write_numbered(folder / f"x{ending}", 64)
    return MediaRoot(str(folder))


@pytest.mark.long
@pytest.mark.parametrize("ending", made.PICTURE_CODECS)
@pytest.mark.parametrize(
    ("start", "end"), [(None, None), (0.3, 1.0), (1.2, 1.5), (2.9, 4.1), (5.8, 6.0), (7.2, None), (7.9, 99.0)]
)
def test_frames_have_the_right_times_wherever_decoding_begins(
    videos: MediaRoot, ending: str, start: float | None, end: float | None
) -> None:
    found = times_of(videos, f"x{ending}", start, end)
    numbers = [made.number_of(frame) for _, frame in found]
    last = 63 if end is None else min(63, math.ceil(end * made.FRAME_RATE) - 1)
    first = math.floor((start or 0) * made.FRAME_RATE)
    assert numbers == list(range(numbers[0], last + 1)) and numbers[0] <= first
    assert [time for time, _ in found] == pytest.approx([n / made.FRAME_RATE for n in numbers], abs=0.002)
    # The middle does not cost decoding all that is before it, where there is an index and more than one key frame.
    assert ending in (".webm", ".ts") or numbers[0] >= first - 0.5 * made.FRAME_RATE - 16


def test_a_span_past_the_end_is_a_fault(videos: MediaRoot) -> None:
    with pytest.raises(MediaFault, match=r"span starts at 8\.5 s, past the end"):
        times_of(videos, "x.mp4", 8.5, 9.0)


def test_a_recording_without_a_span_may_not_be_longer_than_the_limit(
    videos: MediaRoot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.extractors.media.span.MAX_SECONDS", 3.0)
    with pytest.raises(MediaFault, match="longer than 3 s from 0 s on"):
        times_of(videos, "x.mp4")
    assert times_of(videos, "x.mp4", 5.5)  # the rest is short enough


def test_a_file_without_the_wanted_track_or_no_media_at_all_is_a_fault(tmp_path: Path) -> None:
    made.write_sound(tmp_path / "sound.m4a", made.sound())
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "text.mp4").write_text("this is no video\n" * 100)
    for uri, reason in (("sound.m4a", "no video track"), ("empty.mp4", "cannot be"), ("text.mp4", "cannot be decoded")):
        with pytest.raises(MediaFault, match=reason):
            times_of(MediaRoot(str(tmp_path)), uri)


@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2.0,\n{}\n#EXT-X-ENDLIST\n"),
        ("x.mp4", "ffconcat version 1.0\nfile '{}'\n"),
    ],
    ids=["hls", "concat"],
)
def test_a_playlist_that_names_another_file_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str, absolute: bool
) -> None:
    made.write_video(tmp_path / "other.ts")
    (tmp_path / name).write_text(text.format("other.ts"))
    with av.open(str(tmp_path / name)) as followed:  # what would happen
        assert sum(1 for _ in followed.decode(video=0)) == 16
    (tmp_path / name).write_text(text.format(tmp_path / "other.ts" if absolute else "other.ts"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MediaFault, match="cannot be decoded"):
        times_of(MediaRoot(str(tmp_path)), name)


def test_a_decoder_is_kept_until_the_file_is_closed_or_another_is_wanted(tmp_path: Path) -> None:
    made.write_sound(tmp_path / "x.m4a", made.sound(2))
    with MediaRoot(str(tmp_path)).open("x.m4a") as file:
        with container(file) as first, container(file) as second:
            assert first is second
        with container(file, keep=False) as third:
            assert third is not first
        with pytest.raises(MediaFault, match="no such thing"), container(file):
            raise MediaFault("no such thing")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # from within the decoder
def test_a_store_that_fails_is_no_fault_of_the_file(tmp_path: Path) -> None:
    """FFmpeg alone would call the failing read the file's end."""
    fsspec.register_implementation("broken", made.BrokenStore, clobber=True)
    made.BrokenStore().pipe("/media-test/x.mkv", made.write_video(tmp_path / "x.mkv", 8, 320, 320).read_bytes())
    root = MediaRoot("broken://media-test")
    with root.open("x.mkv") as file:
        assert len(file.view().read(64_000)) == 64_000  # twice what FFmpeg asks for at a time
    with pytest.raises(OSError, match="the store is gone"):
        times_of(root, "x.mkv")
