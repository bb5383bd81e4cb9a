"""Media files below the media root, opened nowhere else and read only where an utterance lies."""

import errno
import os
import posixpath
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from unicodedata import normalize

from fsspec.implementations.local import LocalFileSystem

from tasks.extractors.media.channels import MEAN
from tasks.extractors.media.opened import MediaFile
from tasks.extractors.media.span import MediaFault
from tasks.storage.filesystem import answering, file_version, open_url

MAX_BYTES = 64 * 2**30  # of a file; ten hours of video have fewer
# Size of a store's read, and how many are cached: enough for the index at a file's end and for the stretch.
_BLOCK_BYTES, _BLOCKS = 2 * 2**20, 16
_NOT_THERE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG}


@dataclass(frozen=True)
class MediaRoot:
    """The folder, on any store, that holds an archive's media.

    Attributes:
        channels: which to listen to, as `tasks.extractors.media.channels` writes them.
    """

    url: str
    channels: str = MEAN

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
        fs, (path, info) = self._root[0], self._locate(uri)
        cache = {"block_size": _BLOCK_BYTES, "cache_type": "blockcache", "cache_options": {"maxblocks": _BLOCKS}}
        with answering(self._display(path)):
            opening = fs.open(path, "rb", **({} if isinstance(fs, LocalFileSystem) else cache))
        with opening as opened:
            size = info.get("size")
            file = MediaFile(opened, self._display(path), opened.seek(0, 2) if size is None else int(size))
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
        path, info = self._below(uri), None
        for spelled in _spellings(path):
            if info is None:
                path, info = self._info(spelled)
        if info is None:
            raise MediaFault("no such file")
        if info["type"] != "file":
            raise MediaFault("is not a file")
        if (info.get("size") or 0) > MAX_BYTES:
            raise MediaFault(f"{info['size'] / 1e9:.1f} GB are more than the limit of {MAX_BYTES / 1e9:.1f} GB")
        return path, info

    def _below(self, uri: str) -> str:
        """Make a URI a path below the root; absolute paths and URLs may name it too."""
        fs, root = self._root
        if uri.startswith(("\\", "~/")) or "\0" in uri:
            raise MediaFault("leaves the media root")
        if "://" in uri:
            inside = uri.startswith((f"{self.url.rstrip('/')}/", f"{fs.unstrip_protocol(root)}/"))
            path = str(fs._strip_protocol(uri)) if inside else ""
        else:
            path = uri if uri.startswith("/") else f"{root}/{uri}"
        if not {".", ".."}.isdisjoint(path.split("/")):
            path = posixpath.normpath(path)
        roots = (root, os.path.realpath(root)) if isinstance(fs, LocalFileSystem) else (root,)
        if not path.startswith(tuple(f"{one.rstrip('/')}/" for one in roots)):
            raise MediaFault("leaves the media root")
        return path

    def _info(self, path: str) -> tuple[str, dict[str, Any] | None]:
        """The path behind its links, and the store's details of it; None where nothing is."""
        fs, root = self._root
        if isinstance(fs, LocalFileSystem):
            path = os.path.realpath(path)
            if not Path(path).is_relative_to(os.path.realpath(root or "/")):
                raise MediaFault("leaves the media root through a link")
        try:
            with answering(self._display(path)):
                return path, fs.info(path)
        except OSError as error:
            if isinstance(error, FileNotFoundError) or error.errno in _NOT_THERE:
                return path, None
            raise


def _spellings(path: str) -> list[str]:
    """A path and its other Unicode forms: a Mac writes an accent as a letter of its own."""
    return list(dict.fromkeys([path, *(normalize(form, path) for form in ("NFC", "NFD"))]))
