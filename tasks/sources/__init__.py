"""Ways in: a source finds its files and reads them as batches of rows, every value still text.

A new kind of source is one file here and one line in `SOURCES`. Typing the values, and saying why a row cannot be
used, is the same for all (`tasks.rows`).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import fsspec
import polars as pl
from fsspec.implementations.local import LocalFileSystem

from tasks.errors import WorkflowError

BATCH_ROWS = 50_000


@dataclass(frozen=True)
class SourceFile:
    """One file of a source: where it is, and its name below the source's folder."""

    url: str
    name: str
    size: int

    @property
    def filesystem(self) -> tuple[Any, str]:
        """The fsspec filesystem and the path on it."""
        fs, path = fsspec.core.url_to_fs(self.url)
        return fs, path


class Source(Protocol):
    """A way in."""

    def files(self, path: str) -> list[SourceFile]:
        """The source's files in a fixed order. Raises: WorkflowError: none there; says what was expected."""
        ...

    def batches(self, file: SourceFile, media_root: str | None) -> Iterator[pl.DataFrame]:
        """Rows of a file, in their order: canonical columns as text, and

        - ``row``: 1 for the first data row;
        - ``problem``: why the row could not be read, else null;
        - ``content``: the row as it stands, where there is a problem.

        Raises: WorkflowError: the file is not of this format at all; says what was expected.
        """
        ...


def find_files(path: str, endings: tuple[str, ...], expected: str) -> list[SourceFile]:
    """The file at ``path``, or every file below that folder, with one of the endings; sorted by name.

    Raises:
        WorkflowError: nothing there, or nothing with such an ending.
    """
    fs, root = fsspec.core.url_to_fs(path)
    if not fs.exists(root):
        raise WorkflowError(f"{path} is not there\n  expected: {expected}")
    details = fs.find(root, detail=True) if fs.isdir(root) else {root: fs.info(root)}
    found = []
    for name, info in sorted(details.items()):
        if name.lower().endswith(endings):
            url = name if isinstance(fs, LocalFileSystem) else fs.unstrip_protocol(name)
            found.append(SourceFile(url, name.removeprefix(root).strip("/") or name.rsplit("/", 1)[-1], info["size"]))
    if not found:
        raise WorkflowError(f"{path} holds no such file\n  expected: {expected}")
    return found


def source(kind: str) -> Source:
    """The way in with this name."""
    from tasks.sources.meld import Meld
    from tasks.sources.table import Table

    sources: dict[str, Callable[[], Source]] = {"table": Table, "meld": Meld}
    return sources[kind]()
