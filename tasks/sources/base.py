"""What a source is: it finds its files and reads them as batches of rows, every value still text.

Typing the values, and saying why a row cannot be used, is the same for all (`tasks.ingest.validate`).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import polars as pl
from fsspec.implementations.local import LocalFileSystem

from sdt_model.config import Modality
from tasks.archive.schema import UTTERANCES
from tasks.errors import WorkflowError
from tasks.storage.filesystem import open_url

BATCH_ROWS = 50_000
CANONICAL = tuple(UTTERANCES.names)
ROW = {**dict.fromkeys(CANONICAL, pl.String), "row": pl.Int64, "problem": pl.String, "content": pl.String}


@dataclass(frozen=True)
class SourceFile:
    """One file of a source: where it is, its name below the source's folder, and what belongs to it."""

    url: str
    name: str
    size: int
    audio: str | None = None
    """The recording of all its rows: a URI relative to the media root."""
    video: str | None = None
    """Likewise."""
    companion: "SourceFile | None" = None
    """A second file that its rows are completed from."""

    @property
    def filesystem(self) -> tuple[Any, str]:
        """The fsspec filesystem and the path on it."""
        fs, path = open_url(self.url)
        return fs, path


class Source(Protocol):
    """A way in."""

    def files(self, path: str, media_root: str | None) -> list[SourceFile]:
        """The source's files in a fixed order. Raises: WorkflowError: none there; says what was expected."""
        ...

    def batches(self, file: SourceFile, media_root: str | None) -> Iterator[pl.DataFrame]:
        """Rows of a file, each once: canonical columns as text, and

        - ``row``: 1 for the first data row;
        - ``problem``: why the row could not be read, else null;
        - ``content``: the row as it stands, where there is a problem;
        - ``ready``, may be left out: whether the utterance comes with features, and needs neither text nor media.

        Raises: WorkflowError: the file is not of this format at all; says what was expected.
        """
        ...


@dataclass(frozen=True)
class Given:
    """Ready features in a source's file.

    Attributes:
        layout: what the file is, as a person would call it.
        dims: the modalities, and the length of their vectors.
        conversations: ids of the conversations, whose turns go from 0.
        vectors: of a conversation by its id, (T, C) for each modality.
    """

    layout: str
    dims: dict[Modality, int]
    conversations: list[str]
    vectors: Callable[[str], dict[Modality, npt.NDArray[np.float32]]]


@runtime_checkable
class WithFeatures(Protocol):
    """A way in whose one file also holds ready features of every utterance."""

    def features(self, file: SourceFile) -> Given:
        """Raises: WorkflowError: as `Source.batches`."""
        ...


def find_files(path: str, endings: tuple[str, ...], expected: str) -> list[SourceFile]:
    """The file at ``path``, or every file below that folder, with one of the endings; sorted by name.

    Hidden files of a folder are passed over: archives packed on a Mac hold a `._x.csv` beside each `x.csv`.

    Raises:
        WorkflowError: nothing there, or nothing with such an ending, or a name that cannot be written down.
    """
    fs, root = open_url(path)
    if not fs.exists(root):
        raise WorkflowError(f"{path} is not there\n  expected: {expected}")
    details = fs.find(root, detail=True) if fs.isdir(root) else {root: fs.info(root)}
    found = []
    for name, info in sorted(details.items()):
        hidden = name != root and name.rsplit("/", 1)[-1].startswith(".")
        if name.lower().endswith(endings) and not hidden:
            if not is_unicode(name):
                raise WorkflowError(f"{name!a} is a file name that is not UTF-8\n  give it another one")
            url = name if isinstance(fs, LocalFileSystem) else fs.unstrip_protocol(name)
            found.append(SourceFile(url, name.removeprefix(root).strip("/") or name.rsplit("/", 1)[-1], info["size"]))
    if not found:
        raise WorkflowError(f"{path} holds no such file\n  expected: {expected}")
    return found


def is_unicode(text: str) -> bool:
    """Whether nothing in it is half a surrogate pair, which is no text."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
