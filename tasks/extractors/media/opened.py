"""A media file while it is open, and the views that its decoders have of it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import IO, Any, TypeVar

from tasks.extractors.media.span import MediaFault
from tasks.storage.filesystem import answering

Known = TypeVar("Known")


class MediaFile:
    """An open file for decoders, which may take a failing read for the file's end: `check` raises it later.

    Attributes:
        seconds: length of the recording, as its decoder says.
        channel: the one to listen to, 1 for the first; None: the mean of all.
        notes: what is to be said of the stretch that was read last, although it has been read.
    """

    def __init__(self, file: IO[bytes], url: str, size: int, channel: int | None = None) -> None:
        self._file, self._url, self.size = file, url, size
        self.seconds: float | None = None
        self.channel = channel
        self.notes: list[str] = []
        self._failure: Exception | None = None
        self._kept: dict[str, tuple[Any, ExitStack]] = {}
        self._known: dict[str, Any] = {}

    def view(self, begin: int = 0, end: int | None = None) -> "View":
        """Show a part of the file, all of it by default, to one reader, whose place is its own."""
        return View(self, begin, self.size if end is None else end)

    @contextmanager
    def decoder(self, opening: Callable[["View"], AbstractContextManager[Any]], keep: str | None) -> Iterator[Any]:
        """Open a decoder: for this stretch alone, or kept under a name for those that are read after it as well."""
        if keep is None:
            with opening(self.view()) as opened:
                yield opened
            return
        if keep not in self._kept:
            closing = ExitStack()
            self._kept[keep] = (closing.enter_context(opening(self.view())), closing)
        yield self._kept[keep][0]

    def known(self, name: str, finding: Callable[[], Known]) -> Known:
        """Find something out about the file once."""
        if name not in self._known:
            self._known[name] = finding()
        result: Known = self._known[name]
        return result

    def drop(self, name: str) -> None:
        """Close a decoder that is kept under a name."""
        if name in self._kept:
            self._kept.pop(name)[1].close()

    def close(self) -> None:
        """Close the decoders that are still open; the file itself belongs to whoever opened it."""
        for name in list(self._kept):
            self.drop(name)

    def read_at(self, offset: int, size: int) -> bytes:
        """Read bytes from a place on."""
        try:
            with answering(self._url):
                self._file.seek(offset)
                return self._file.read(size)
        except Exception as error:
            self._failure = error
            raise

    def fail(self, fault: MediaFault) -> MediaFault:
        """Remember a fault that the decoder may pass over."""
        self._failure = fault
        return fault

    def check(self) -> None:
        """Raise what failed since the last check, even if the decoder ignored it."""
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure


class View:
    """Bytes of a file from ``begin`` to ``end``, as a file of their own for one decoder."""

    def __init__(self, file: MediaFile, begin: int, end: int) -> None:
        self._file, self._begin, self._size, self._at = file, begin, end - begin, 0

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._size - self._at)
        if not left:
            return b""
        content = self._file.read_at(self._begin + self._at, left if size < 0 else min(size, left))
        self._at += len(content)
        return content

    def seek(self, offset: int, whence: int = 0) -> int:
        at = (0, self._at, self._size)[whence] + offset
        if at < 0:
            raise self._file.fail(MediaFault("cannot be decoded: points to a place outside of itself"))
        self._at = at
        return at
