"""Media files: found below the media root and nowhere else, decoded only where an utterance lies.

What is wrong with a file is a `MediaFault`: it costs the utterance its vector, and its reason is kept.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

MAX_SECONDS = 600.0


class MediaFault(Exception):
    """Why an utterance's media cannot be used, in words for its row."""


@dataclass(frozen=True)
class Span:
    """A stretch of a recording in seconds; ``end`` None: to its end."""

    start: float
    end: float | None

    @property
    def limit(self) -> float:
        """Where decoding stops."""
        return self.start + MAX_SECONDS if self.end is None else self.end


def span(start_s: float | None, end_s: float | None) -> Span:
    """The stretch that an utterance names.

    Raises:
        MediaFault: it is empty, reversed or longer than the limit.
    """
    start = start_s or 0.0
    if start < 0 or (end_s is not None and end_s <= start):
        raise MediaFault(
            f"span {start:g}-{end_s:g} s is empty or reversed" if end_s is not None else "span is negative"
        )
    if end_s is not None and end_s - start > MAX_SECONDS:
        raise MediaFault(f"span of {end_s - start:g} s is longer than {MAX_SECONDS:g} s")
    return Span(start, end_s)


@dataclass(frozen=True)
class MediaRoot:
    """The folder, on any store, that an archive's media lie below."""

    url: str

    @cached_property
    def _root(self) -> tuple[Any, str]:
        fs, root = fsspec.core.url_to_fs(self.url)
        return fs, root

    @contextmanager
    def open(self, uri: str) -> Iterator[IO[bytes]]:
        """Open a file by its URI relative to the root.

        Raises:
            MediaFault: it leaves the root, by itself or through a link, or is not there.
        """
        fs, root = self._root
        if uri.startswith(("/", "\\", "~")) or "://" in uri or ".." in Path(uri).parts:
            raise MediaFault("leaves the media root")
        path = f"{root}/{uri}"
        if isinstance(fs, LocalFileSystem) and not Path(path).resolve().is_relative_to(Path(root).resolve()):
            raise MediaFault("leaves the media root through a link")
        if not fs.isfile(path):
            raise MediaFault("no such file")
        with fs.open(path, "rb") as file:
            yield file


@contextmanager
def container(file: IO[bytes]) -> Iterator[Any]:
    """A PyAV container over an open file; what FFmpeg cannot read is a `MediaFault`."""
    import av

    try:
        # A playlist could name other files: nothing but this one is ever opened.
        with av.open(file, options={"protocol_whitelist": "none"}) as opened:
            yield opened
    except av.error.FFmpegError as error:
        raise MediaFault(f"cannot be decoded: {error.strerror}") from error
