"""The largest memory of a command and of each of its Ray workers, and the time that they compute.

Linux keeps the largest resident memory of a process (``VmHWM``), and the time that it computed, for as long as it
lives. They are looked at five times a second, so a worker's last fifth of a second is missed. Pages that processes
share, such as libraries, count in each. Where other programs want the cores too, the time on the clock says more of
them than of the command; the time that its processes computed does not.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_EVERY_S = 0.2
_WORKER = b"ray::_Worker"  # what Ray calls the process of a stage's worker
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Measured:
    """Result and cost of a command.

    Attributes:
        result: the last line of its output, JSON.
        driver_mib: its own process.
        workers_mib: each worker's, largest first.
        core_s: seconds that all its processes computed, Ray's own and its start among them.
    """

    result: Any
    driver_mib: int
    workers_mib: list[int]
    core_s: float


def run_measured(code: str) -> Measured:
    """Run Python ``code`` in a process of its own.

    Raises:
        RuntimeError: it failed; with its last output.
    """
    peaks: dict[int, int] = {}
    seconds: dict[int, float] = {}
    workers: set[int] = set()
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=log, text=True)
        while process.poll() is None:
            for pid, computed in _tree(process.pid):
                seconds[pid] = computed
                if (peak := _peak_mib(pid)) is not None:
                    peaks[pid] = peak
                    if _is_worker(pid):
                        workers.add(pid)
            time.sleep(_EVERY_S)
        output = process.stdout.read() if process.stdout else ""
        if process.returncode:
            log.seek(0)
            raise RuntimeError(f"{code}: exit code {process.returncode}\n{log.read()[-4000:]}")
    workers_mib = sorted((peaks[pid] for pid in workers), reverse=True)
    return Measured(json.loads(output.splitlines()[-1]), peaks[process.pid], workers_mib, sum(seconds.values()))


def _tree(root: int) -> Iterator[tuple[int, float]]:
    """A process, those that it started, and those that they started; the seconds that each has computed."""
    parents: dict[int, int] = {}
    seconds: dict[int, float] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and (stat := _read(folder / "stat")) is not None:
            fields = stat.rsplit(b")", 1)[1].split()
            parents[int(folder.name)] = int(fields[1])
            seconds[int(folder.name)] = (int(fields[11]) + int(fields[12])) / _TICKS
    tree = {root}
    while more := {pid for pid, parent in parents.items() if parent in tree} - tree:
        tree |= more
    return ((pid, seconds[pid]) for pid in tree if pid in seconds)


def _peak_mib(pid: int) -> int | None:
    status = _read(Path(f"/proc/{pid}/status"))
    if status is None or b"VmHWM:" not in status:
        return None
    return int(status.split(b"VmHWM:")[1].split()[0]) // 1024


def _is_worker(pid: int) -> bool:
    return (_read(Path(f"/proc/{pid}/cmdline")) or b"").startswith(_WORKER)


def _read(path: Path) -> bytes | None:
    """None where the process has ended."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
