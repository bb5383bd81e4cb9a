"""Which file a worker reads now, known outside of it: one that crashes or hangs cannot say so itself.

Whoever reads a file does so in `watched`; outside of a watched stage that does nothing.
"""

import itertools
import os
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Watch:
    """How a stage's workers are watched while they read files."""

    hung_after_s: float
    """Longest that one file may be read at a time."""
    aside: dict[str, str] = field(default_factory=dict)
    """Files that were set aside earlier, and why."""


class Watchdog:
    """An actor that remembers which files every worker reads."""

    def __init__(self) -> None:
        self._open: dict[int, dict[str, tuple[str, float]]] = defaultdict(dict)

    def begin(self, worker: int, ticket: str, name: str) -> None:
        self._open[worker][ticket] = name, time.monotonic()

    def end(self, worker: int, ticket: str) -> None:
        self._open[worker].pop(ticket, None)

    def worker_died(self, worker: int) -> list[str]:
        """What it was reading; that is forgotten then."""
        return sorted({name for name, _ in self._open.pop(worker, {}).values()})

    def overdue(self, seconds: float) -> dict[int, list[str]]:
        """For each worker that has read a file for longer: those files."""
        limit = time.monotonic() - seconds
        late = {
            worker: sorted({name for name, since in files.values() if since < limit})
            for worker, files in self._open.items()
        }
        return {worker: names for worker, names in late.items() if names}


@dataclass(frozen=True)
class WatchdogLink:
    """To which watchdog a worker reports, and as whom."""

    watchdog: Any
    worker: int
    one_at_a_time: bool
    """Read one file at a time, so that there is no doubt which one a crash comes from."""


_link: WatchdogLink | None = None  # this process's
_tickets = itertools.count()
_alone = threading.Lock()


def report_to(link: WatchdogLink | None) -> None:
    """Let the watchdog know from now on what this process reads."""
    global _link
    _link = link


@contextmanager
def watched(name: str) -> Iterator[None]:
    """While this lasts, the file ``name`` is to blame for a crash of this process."""
    link = _link
    if link is None:
        yield
        return
    import ray  # which takes seconds, and a worker of Ray's has it

    ticket = f"{os.getpid()}-{next(_tickets)}"  # a worker that was started again draws others
    with _alone if link.one_at_a_time else nullcontext():
        ray.get(link.watchdog.begin.remote(link.worker, ticket, name))  # known before anything can happen
        try:
            yield
        finally:
            link.watchdog.end.remote(link.worker, ticket)
