"""Media files below the media root, opened nowhere else and read only where an utterance lies.

A `MediaFault` is something wrong with a file: it costs the utterance its vector, and its reason is stored. A store
that does not answer is no fault of the file, and its error goes up.
"""

import errno
import math
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any

from fsspec.implementations.local import LocalFileSystem

from tasks.storage.filesystem import answering, file_version, open_url

MAX_SECONDS = 600.0
MAX_BYTES = 64 * 2**30  # of a file; ten hours of video have fewer
# Size of a store's read, and how many are cached: enough for the index at a file's end and for the stretch.
_BLOCK_BYTES, _BLOCKS = 2 * 2**20, 16
_NOT_THERE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG}


class MediaFault(Exception):
    """A reason why an utterance's media cannot be used, in words for its row."""


@dataclass(frozen=True)
class Span:
    """A stretch of a recording in seconds; without ``end``, up to the recording's."""

    start: float
    end: float | None

    @property
    def limit(self) -> float:
        """Time at which decoding stops; without ``end``, a recording that reaches it is too long."""
        return self.start + MAX_SECONDS if self.end is None else self.end

    def too_long(self) -> MediaFault:
        return MediaFault(f"longer than {MAX_SECONDS:g} s from {self.start:g} s on")

    def past_the_end(self) -> MediaFault:
        return MediaFault(f"span starts at {self.start:g} s, past the end" if self.start else "holds nothing")


def span(start_s: float | None, end_s: float | None) -> Span:
    """Check an utterance's times and make them a stretch.

    Raises:
        MediaFault: the span is negative, empty, reversed or longer than the limit.
    """
    start, end = start_s or 0.0, math.inf if end_s is None else end_s
    if not 0 <= start < end:
        raise MediaFault(f"span {start:g}-{'' if end_s is None else f'{end:g}'} s is negative, empty or reversed")
    if end_s is not None and end - start > MAX_SECONDS:
        raise MediaFault(f"span of {end - start:g} s is longer than {MAX_SECONDS:g} s")
    return Span(start, end_s)


class MediaFile:
    """An open file for decoders, which may take a failing read for the file's end: `check` raises it later."""

    def __init__(self, file: IO[bytes], url: str) -> None:
        self._file, self._url = file, url
        self.tell = file.tell
        self.seconds: float | None = None  # as its decoder says
        self._failure: Exception | None = None
        self._closing = ExitStack()
        self._decoder: Any = None  # kept open for the next stretch

    @contextmanager
    def decoder(self, opening: Callable[[], AbstractContextManager[Any]], keep: bool) -> Iterator[Any]:
        """Open a decoder: for this stretch alone, or with ``keep`` for those that are read after it as well."""
        if self._decoder is None or not keep:
            self.close()
            self.seek(0)
        if not keep:
            with opening() as opened:
                yield opened
            return
        if self._decoder is None:
            self._decoder = self._closing.enter_context(opening())
        yield self._decoder

    def close(self) -> None:
        """Close the decoder that is still open; the file itself belongs to whoever opened it."""
        self._decoder = None
        self._closing.close()

    def read(self, size: int = -1) -> bytes:
        try:
            with answering(self._url):
                return self._file.read(size)
        except Exception as error:
            self._failure = error
            raise

    def seek(self, offset: int, whence: int = 0) -> int:
        try:
            return self._file.seek(offset, whence)
        except (OSError, ValueError) as error:
            self._failure = MediaFault("cannot be decoded: points to a place outside of itself")
            raise self._failure from error

    def check(self) -> None:
        """Raise what failed since the last check, even if the decoder ignored it."""
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure


@dataclass(frozen=True)
class MediaRoot:
    """The folder, on any store, that holds an archive's media."""

    url: str

    @cached_property
    def _root(self) -> tuple[Any, str]:
        fs, root = open_url(self.url)
        return fs, root.rstrip("/")

    @contextmanager
    def open(self, uri: str) -> Iterator[MediaFile]:
        """Open a file by its URI relative to the root.

        Raises:
            MediaFault: the file lies outside the root, does not exist, is too large or is damaged.
            WorkflowError: the store failed or refused, now or while the file was read.
        """
        fs, (path, _) = self._root[0], self._locate(uri)
        cache = {"block_size": _BLOCK_BYTES, "cache_type": "blockcache", "cache_options": {"maxblocks": _BLOCKS}}
        with answering(self._display(path)):
            opening = fs.open(path, "rb", **({} if isinstance(fs, LocalFileSystem) else cache))
        with opening as opened:
            file = MediaFile(opened, self._display(path))
            try:
                yield file
            finally:
                file.close()
                file.check()

    def version(self, uri: str) -> str | None:
        """Return a text that changes with the file's content; None where the file cannot be used."""
        try:
            return self._version(uri)
        except MediaFault:
            return None

    def state(self, uri: str) -> str:
        """Return the file's version or its fault: while it stays the same, so does everything read from the file."""
        try:
            return self._version(uri)
        except MediaFault as fault:
            return str(fault)

    def _version(self, uri: str) -> str:
        path, info = self._locate(uri)
        with answering(self._display(path)):
            return file_version(self._root[0], path, info)

    def _display(self, path: str) -> str:
        """Write a path as a person would."""
        fs = self._root[0]
        return path if isinstance(fs, LocalFileSystem) else str(fs.unstrip_protocol(path))

    def _locate(self, uri: str) -> tuple[str, dict[str, Any]]:
        """Resolve a URI to the file's path and the store's details of it."""
        fs, root = self._root
        if uri.startswith(("/", "\\", "~")) or "://" in uri or "\0" in uri or ".." in Path(uri).parts:
            raise MediaFault("leaves the media root")
        path = f"{root}/{uri}"
        if isinstance(fs, LocalFileSystem):
            path = os.path.realpath(path)
            if not Path(path).is_relative_to(os.path.realpath(root or "/")):
                raise MediaFault("leaves the media root through a link")
        try:
            with answering(self._display(path)):
                info = fs.info(path)
        except OSError as error:
            if isinstance(error, FileNotFoundError) or error.errno in _NOT_THERE:
                raise MediaFault("no such file") from error
            raise
        if info["type"] != "file":
            raise MediaFault("is not a file")
        if (info.get("size") or 0) > MAX_BYTES:
            raise MediaFault(f"{info['size'] / 1e9:.1f} GB are more than the limit of {MAX_BYTES / 1e9:.1f} GB")
        return path, info
