"""Media below their root and nowhere else, spans, and decoding that begins in the middle of a file."""

import http.server
import math
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import fsspec
import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from tasks.extractors.media.files import MAX_BYTES, MediaRoot
from tasks.extractors.media.sound import read_sound
from tasks.extractors.media.span import MAX_SECONDS, MediaFault, span
from tests.fixtures import media as made


def read_all(root: MediaRoot, uri: str) -> bytes:
    with root.open(uri) as file:
        return file.view().read()


@pytest.mark.parametrize(
    ("start", "end", "limit"), [(None, None, MAX_SECONDS), (2.0, None, 2 + MAX_SECONDS), (None, 3.0, 3), (1.0, 3.0, 3)]
)
def test_a_span_is_open_at_the_ends_that_are_not_given(start: float | None, end: float | None, limit: float) -> None:
    found = span(start, end)
    assert (found.start, found.end, found.limit) == (start or 0, end, limit)


times = st.none() | st.floats(-1, 2000) | st.sampled_from([math.nan, math.inf, -math.inf, 0.0, MAX_SECONDS])


@given(times, times)
def test_a_span_is_a_stretch_of_bounded_length_or_a_fault(start: float | None, end: float | None) -> None:
    begin, stop = start or 0.0, math.inf if end is None else end
    if 0 <= begin < stop and (end is None or end - begin <= MAX_SECONDS):
        assert 0 < span(start, end).limit - begin <= MAX_SECONDS * (1 + 1e-9)
    else:
        with pytest.raises(MediaFault, match=r"negative, empty or reversed|longer than"):
            span(start, end)


def test_a_file_is_found_below_the_root_on_any_store(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b..c d.wav").write_bytes(b"here")
    assert read_all(MediaRoot(str(tmp_path)), "a/b..c d.wav") == b"here"
    assert read_all(MediaRoot(f"file://{tmp_path}/"), "a/./b..c d.wav") == b"here"
    assert read_all(MediaRoot("/"), f"{tmp_path}/a/b..c d.wav"[1:]) == b"here"
    fsspec.filesystem("memory").pipe("/media-test/x.wav", b"there")
    assert read_all(MediaRoot("memory://media-test"), "x.wav") == b"there"


@pytest.mark.parametrize("store", ["local", "memory"])
@pytest.mark.parametrize(
    "uri",
    ["{root}/a/x.wav", "{url}/a/x.wav", "a/../a/x.wav", "../{name}/a/x.wav", "a/./x.wav", "rec:01.wav", "~x.wav",
     "caf\u00e9.wav", "cafe\u0301.wav", "~/x.wav "],
)  # fmt: skip
def test_any_way_to_write_a_path_below_the_root_is_fine(tmp_path: Path, store: str, uri: str) -> None:
    fs, folder = fsspec.filesystem("file" if store == "local" else "memory"), f"{tmp_path}/media"
    for name in ("a/x.wav", "rec:01.wav", "~x.wav", "cafe\u0301.wav"):
        fs.makedirs(f"{folder}/a", exist_ok=True)
        fs.pipe_file(f"{folder}/{name}", b"here")
    url = folder if store == "local" else f"memory:/{folder}"
    root = MediaRoot(url)
    if uri.startswith("~/"):
        with pytest.raises(MediaFault, match="leaves the media root"):
            read_all(root, uri)
        return
    shown = uri.format(root=folder, url=url if store == "memory" else f"file://{folder}", name="media")
    assert read_all(root, shown) == b"here" and root.version(shown) is not None


@pytest.mark.parametrize("store", ["local", "memory"])
@pytest.mark.parametrize(
    "uri", ["{outside}", "../secret.wav", "a/../../secret.wav", "a/..", "file://{outside}", "memory://secret.wav",
            "http://localhost/x.wav", "~/x.wav", "\\x.wav", "x\0.wav"],
)  # fmt: skip
def test_a_uri_that_leaves_the_root_is_a_fault(tmp_path: Path, store: str, uri: str) -> None:
    (tmp_path / "secret.wav").write_bytes(b"secret")
    (tmp_path / "media" / "a").mkdir(parents=True)
    fsspec.filesystem("memory").pipe("/secret.wav", b"secret")
    root = MediaRoot(str(tmp_path / "media") if store == "local" else "memory://media")
    with pytest.raises(MediaFault, match="leaves the media root"):
        read_all(root, uri.format(outside=tmp_path / "secret.wav"))


def test_a_link_may_point_into_the_root_and_not_out_of_it(tmp_path: Path) -> None:
    media = tmp_path / "media"
    media.mkdir()
    (tmp_path / "media-beside").mkdir()
    for folder in (media, tmp_path / "media-beside"):
        (folder / "x.wav").write_bytes(folder.name.encode())
    (media / "in.wav").symlink_to(media / "x.wav")
    (media / "out.wav").symlink_to(tmp_path / "media-beside" / "x.wav")
    (media / "folder").symlink_to(tmp_path / "media-beside")
    (tmp_path / "link").symlink_to(media)  # the root itself may be reached by one
    for root in (MediaRoot(str(media)), MediaRoot(str(tmp_path / "link"))):
        assert read_all(root, "in.wav") == b"media"
        for uri in ("out.wav", "folder/x.wav"):
            with pytest.raises(MediaFault, match="leaves the media root through a link"):
                read_all(root, uri)


def test_what_is_no_file_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "plain").write_bytes(b"")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    os.mkfifo(tmp_path / "pipe")
    root = MediaRoot(str(tmp_path))
    for uri in ("none.wav", "plain/x.wav", "loop", "x" * 300, "folder/" * 900 + "x"):
        with pytest.raises(MediaFault, match="no such file"):
            read_all(root, uri)
    for uri in ("folder", "", "pipe"):
        with pytest.raises(MediaFault, match="is not a file"):
            read_all(root, uri)
    with pytest.raises(MediaFault, match="no such file"):
        read_all(MediaRoot("memory://nowhere"), "none.wav")


def test_a_file_larger_than_the_limit_is_a_fault(tmp_path: Path) -> None:
    with (tmp_path / "x.wav").open("wb") as file:
        file.truncate(MAX_BYTES + 1)  # takes no room on the disk
    with pytest.raises(MediaFault, match=r"68\.7 GB are more than the limit"):
        read_all(MediaRoot(str(tmp_path)), "x.wav")


def test_a_version_changes_with_the_content_and_is_none_where_nothing_can_be_opened(tmp_path: Path) -> None:
    root = MediaRoot(str(tmp_path))
    assert root.version("x") is None and root.version("../x") is None
    (tmp_path / "x").write_bytes(b"some")
    first = root.version("x")
    assert first is not None and root.version("x") == first
    (tmp_path / "x").write_bytes(b"other")
    assert root.version("x") not in (None, first)


def test_a_store_is_asked_for_the_blocks_that_a_stretch_needs(tmp_path: Path) -> None:
    """Ten minutes are 19 MB; the first stretches lie in the header's block, and it is kept while a far one is read."""
    made.write_sound(tmp_path / "x.wav", np.tile(made.sound(60), (10, 1)))
    with ranged(tmp_path) as (url, asked), MediaRoot(url).open("x.wav") as file:
        for begin in (50.0, 51.0, 500.0, 52.0):
            samples, _ = read_sound(file, "x.wav", span(begin, begin + 2))
            assert len(samples) == 32_000
    assert asked == [2 * 2**20] * 2


@contextmanager
def ranged(folder: Path) -> Iterator[tuple[str, list[int]]]:
    """A web server that gives parts of files, and the sizes of those that it gave."""
    asked: list[int] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(b"", (folder / self.path[1:]).stat().st_size)

        def do_GET(self) -> None:
            begin, end = map(int, self.headers["Range"].removeprefix("bytes=").split("-"))
            content = (folder / self.path[1:]).read_bytes()
            part = content[begin : end + 1]
            asked.append(len(part))
            self._answer(part, len(part), f"bytes {begin}-{begin + len(part) - 1}/{len(content)}")

        def _answer(self, body: bytes, length: int, place: str | None = None) -> None:
            self.send_response(206 if place else 200)
            self.send_header("Content-Length", str(length))
            self.send_header("Accept-Ranges", "bytes")
            if place:
                self.send_header("Content-Range", place)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # from within the decoder
def test_a_store_that_fails_is_no_fault_of_the_file(tmp_path: Path) -> None:
    """A decoder alone would call the failing read the file's end, or its damage."""
    fsspec.register_implementation("broken", made.BrokenStore, clobber=True)
    made.BrokenStore().pipe("/media-test/x.wav", made.write_sound(tmp_path / "x.wav", made.sound()).read_bytes())
    with pytest.raises(OSError, match="the store is gone"), MediaRoot("broken://media-test").open("x.wav") as file:
        assert len(soundfile.SoundFile(file.view()).read()) < 32_000


def test_a_file_that_points_outside_of_itself_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"some")
    with (
        pytest.raises(MediaFault, match="points to a place outside of itself"),
        MediaRoot(str(tmp_path)).open("x") as f,
    ):
        swallow(f.view().seek, -5)


def swallow(seek: Callable[[int], int], offset: int) -> None:
    """As a decoder written in C does."""
    try:
        seek(offset)
    except MediaFault:
        return
