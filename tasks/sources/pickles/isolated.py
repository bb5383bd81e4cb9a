"""Reads a published pickle in a process of its own, as media are read: whatever it does, it costs its file alone.

A pickle is a program, and one of 142 bytes can take for ever, or all memory, with allowed content alone (tuples within
tuples as keys, the same part in many places). The process has limits of processor time and memory, by the file's size,
and hands back plain JSON and arrays.

    python -m tasks.sources.pickles.isolated FILE URL FOLDER SECONDS
"""

import json
import resource
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sdt_model.config import Modality
from tasks.errors import WorkflowError
from tasks.sources.base import SourceFile
from tasks.sources.pickles.published import Conversation, Published, published
from tasks.sources.pickles.unpickler import check_size, load

SECONDS, SECONDS_A_MEGABYTE = 20, 2  # of processor time, starting Python included
MEMORY, MEMORY_A_BYTE = 256 * 2**20, 24  # beside what Python itself takes
_CONTENT, _REFUSED = "content.json", "refused.txt"


@dataclass(frozen=True)
class Contents:
    """What a file holds, as `Published` would say it, without anything of the file's own making."""

    layout: str
    dims: dict[Modality, int]
    conversations: list[Conversation]
    arrays: dict[Modality, npt.NDArray[np.float32]]
    """(N, C) of all utterances, conversation by conversation."""

    def vectors(self, conversation: str) -> dict[Modality, npt.NDArray[np.float32]]:
        """Return a conversation's vectors (T, C) of each modality."""
        rows = self._rows()[conversation]
        return {modality: array[rows] for modality, array in self.arrays.items()}

    def _rows(self) -> dict[str, slice]:
        ends = np.cumsum([0, *(len(each.emotions) for each in self.conversations)]).tolist()
        names = [each.id for each in self.conversations]
        return {name: slice(begin, end) for name, begin, end in zip(names, ends, ends[1:], strict=False)}


def read_published(file: SourceFile) -> Contents:
    """Read a file in a process of its own.

    Raises:
        WorkflowError: the file is refused, or takes more time or memory than one of its size may.
    """
    check_size(file)
    fs, path = file.filesystem
    with tempfile.TemporaryDirectory(prefix="sdt-pickle-") as scratch:
        out = Path(scratch)
        if "file" not in ([fs.protocol] if isinstance(fs.protocol, str) else fs.protocol):
            fs.get_file(path, str(out / "pickle"))
            path = str(out / "pickle")
        seconds = _seconds(file.size)
        command = [sys.executable, "-m", __name__, path, file.url, scratch, str(seconds)]
        try:  # asleep it uses no processor time: much longer than that is too long as well
            done = subprocess.run(command, capture_output=True, timeout=60 + 10 * seconds, check=False)
        except subprocess.TimeoutExpired:
            raise WorkflowError(f"{file.url}: refused, reading it takes more than {60 + 10 * seconds} s") from None
        if (out / _REFUSED).exists():
            raise WorkflowError((out / _REFUSED).read_text())
        if done.returncode:
            raise WorkflowError(f"{file.url}: refused, {_why(done, seconds)}\n  a file of features needs no more")
        return _received(out)


def _seconds(size: int) -> int:
    return SECONDS + SECONDS_A_MEGABYTE * (size >> 20)


def _why(done: subprocess.CompletedProcess[bytes], seconds: int) -> str:
    if done.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        return f"reading it takes more than {seconds} s of processor time, or more memory than there is"
    last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
    return f"its reader ended with {done.returncode}: {last[:200]!a}"


def _received(out: Path) -> Contents:
    content: dict[str, Any] = json.loads((out / _CONTENT).read_text())
    dims: dict[Modality, int] = content["dims"]
    return Contents(
        content["layout"],
        dims,
        [Conversation(*values) for values in content["conversations"]],
        {modality: np.load(out / f"{modality}.npy", allow_pickle=False) for modality in dims},
    )


def main(path: str, url: str, out: str, seconds: str) -> None:
    """What the process does."""
    size = Path(path).stat().st_size
    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), int(seconds) + 5))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    taken = _taken()
    if taken is not None:
        most = taken + MEMORY + MEMORY_A_BYTE * size
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    try:
        with Path(path).open("rb") as opened:
            content = load(opened, size, url)
        _hand_back(_named(content, size, url), Path(out))
    except WorkflowError as error:
        (Path(out) / _REFUSED).write_text(str(error))
    except MemoryError:
        allowed = (MEMORY + MEMORY_A_BYTE * size) >> 20
        (Path(out) / _REFUSED).write_text(f"{url}: refused, it takes more than {allowed} MB of memory")


def _named(content: object, size: int, url: str) -> Published:
    try:
        return published(content, size)
    except WorkflowError as error:
        raise WorkflowError(f"{url}: {error}") from None


def _hand_back(content: Published, out: Path) -> None:
    conversations = list(content.conversations())
    parts: dict[Modality, list[npt.NDArray[np.float32]]] = {modality: [] for modality in content.dims}
    for conversation in conversations:
        for modality, vectors in content.vectors(conversation.id).items():
            parts[modality].append(vectors)
    for modality, dim in content.dims.items():
        np.save(out / f"{modality}.npy", np.concatenate([np.zeros((0, dim), np.float32), *parts[modality]]))
    plain = {"layout": content.layout.name, "dims": content.dims, "conversations": conversations}
    (out / _CONTENT).write_text(json.dumps(plain))


def _taken() -> int | None:
    """Bytes of memory that this process may write to now; None where the system does not tell."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmData:"))
    except (OSError, StopIteration):
        return None


if __name__ == "__main__":
    main(*sys.argv[1:])
