"""The interface of a source: it lists its files and reads each as batches of rows, every value still text.

`tasks.ingest.validate` types the values and rejects the rows that cannot be used, the same way for every source.
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
from tasks.storage.filesystem import answering, is_folder, list_files, open_url, path_exists

BATCH_ROWS = 50_000
CANONICAL = tuple(UTTERANCES.names)
_OTHER_KINDS = {
    **dict.fromkeys((".xlsx", ".xls", ".ods"), "it is a spreadsheet: save it as CSV in UTF-8"),
    **dict.fromkeys((".gz", ".zip", ".bz2", ".xz", ".zst", ".tar"), "it is compressed: unpack it"),
}
ROW = {**dict.fromkeys(CANONICAL, pl.String), "row": pl.Int64, "problem": pl.String, "content": pl.String}


@dataclass(frozen=True)
class SourceFile:
    """One file of a source, and the recordings that belong to it.

    Attributes:
        name: relative to the source's folder.
        size: in bytes.
        audio: the sound recording of all its rows, a URI relative to the media root.
        video: the video recording of all its rows, likewise.
        companion: a second file that completes its rows.
    """

    url: str
    name: str
    size: int
    audio: str | None = None
    video: str | None = None
    companion: "SourceFile | None" = None

    @property
    def filesystem(self) -> tuple[Any, str]:
        """The fsspec filesystem and the path on it."""
        fs, path = open_url(self.url)
        return fs, path


class Source(Protocol):
    """A reader of one format."""

    def files(self, path: str, media_root: str | None) -> list[SourceFile]:
        """List the source's files in a fixed order.

        Raises:
            WorkflowError: there is none; the message names what was expected.
        """
        ...

    def batches(self, file: SourceFile, media_root: str | None) -> Iterator[pl.DataFrame]:
        """Read a file's rows, each once: the canonical columns as text, and

        - ``row``: 1 for the first data row;
        - ``problem``: why the row could not be read, else null;
        - ``content``: the row as it stands, where there is a problem;
        - ``ready``, optional: whether the utterance comes with features, and needs neither text nor media.

        Raises:
            WorkflowError: the file is not of this format at all; the message names what was expected.
        """
        ...


@dataclass(frozen=True)
class SourceFeatures:
    """Features that a source's file already holds.

    Attributes:
        layout: the file's kind, as a person would call it.
        dims: length of the vectors of each modality.
        conversations: ids of the conversations; turns are numbered from 0.
        vectors: from a conversation's id to its vectors (T, C) for each modality.
    """

    layout: str
    dims: dict[Modality, int]
    conversations: list[str]
    vectors: Callable[[str], dict[Modality, npt.NDArray[np.float32]]]


@runtime_checkable
class FeatureSource(Protocol):
    """A source whose one file also holds features of every utterance."""

    def features(self, file: SourceFile) -> SourceFeatures:
        """Read the file's features.

        Raises:
            WorkflowError: the file is not of this format.
        """
        ...


def find_files(path: str, endings: tuple[str, ...], expected: str) -> list[SourceFile]:
    """List the file at ``path``, or every file below that folder, with one of the endings; sorted by name.

    Skips hidden files of a folder: archives packed on a Mac hold a `._x.csv` beside each `x.csv`.

    Args:
        path: a file or folder, any fsspec URL.
        endings: lower-case file name endings.
        expected: what the error asks for, in words.

    Raises:
        WorkflowError: the path does not exist, no file has such an ending, or a file's name is not UTF-8.
    """
    fs, root = open_url(path)
    with answering(path):
        if not path_exists(fs, root):
            raise WorkflowError(f"{path} is not there\n  expected: {expected}")
        details = list_files(fs, root) if is_folder(fs, root) else {root: fs.info(root)}
    files = []
    for name, info in sorted(details.items()):
        hidden = name != root and name.rsplit("/", 1)[-1].startswith(".")
        if name.lower().endswith(endings) and not hidden:
            if not is_unicode(name):
                raise WorkflowError(f"{name!a} is a file name that is not UTF-8\n  give it another one")
            url = name if isinstance(fs, LocalFileSystem) else fs.unstrip_protocol(name)
            files.append(SourceFile(url, name.removeprefix(root).strip("/") or name.rsplit("/", 1)[-1], info["size"]))
    if not files:
        another = f"is a file of another kind: its name ends in none of {', '.join(endings)}"
        hint = next((f"; {hint}" for ending, hint in _OTHER_KINDS.items() if root.lower().endswith(ending)), "")
        what = "holds no such file" if is_folder(fs, root) else another + hint
        raise WorkflowError(f"{path} {what}\n  expected: {expected}")
    return files


def is_unicode(text: str) -> bool:
    """Whether a text can be written as UTF-8: it holds no half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
