"""Keeps a decoder's messages off standard error: libmpg123 prints them, and libsndfile cannot ask it not to."""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from tasks.extractors.media.opened import View
from tasks.extractors.media.span import MediaFault

_STDERR = 2
_OF_DECODER = re.compile(rb"\s*(\[src/libmpg123/|Note: |Warning ?: |error: )")
_alone = Lock()  # there is one standard error for all threads


class QuietView:
    """A view for a library of C, whose callbacks print an exception and go on: `MediaFile.check` raises it later."""

    def __init__(self, view: View) -> None:
        self._view = view
        self.tell = view.tell

    def read(self, size: int = -1) -> bytes:
        try:
            return self._view.read(size)
        except Exception:
            return b""

    def seek(self, offset: int, whence: int = 0) -> int:
        try:
            return self._view.seek(offset, whence)
        except MediaFault:
            return self._view.tell()


@contextmanager
def without_messages() -> Iterator[None]:
    """Take the decoder's lines from standard error meanwhile; what others write to it is passed on afterwards."""
    with _alone:
        try:
            terminal = os.dup(_STDERR)
        except OSError:  # closed: nothing is printed anywhere
            yield
            return
        try:
            with tempfile.TemporaryFile() as written:
                os.dup2(written.fileno(), _STDERR)
                try:
                    yield
                finally:
                    os.dup2(terminal, _STDERR)
                    written.seek(0)
                    for line in written:
                        if line.strip() and not _OF_DECODER.match(line):
                            os.write(_STDERR, line)
        finally:
            os.close(terminal)
