"""Which file a worker is busy with, told to a witness outside of it: one that crashes or hangs cannot say so itself.

Who reads a file says so with `in_hand`; outside of a watched stage that does nothing.
"""

import itertools
import os
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import ray


class Witness:
    """An actor that remembers what every worker has in hand."""

    def __init__(self) -> None:
        self._held: dict[int, dict[str, tuple[str, float]]] = defaultdict(dict)

    def take(self, worker: int, ticket: str, name: str) -> None:
        self._held[worker][ticket] = name, time.monotonic()

    def drop(self, worker: int, ticket: str) -> None:
        self._held[worker].pop(ticket, None)

    def died(self, worker: int) -> list[str]:
        """What it had in hand; that is forgotten then."""
        return sorted({name for name, _ in self._held.pop(worker, {}).values()})

    def overdue(self, seconds: float) -> dict[int, list[str]]:
        """For each worker that has had a file in hand for longer: those files."""
        long_ago = time.monotonic() - seconds
        late = {
            worker: sorted({name for name, since in held.values() if since < long_ago})
            for worker, held in self._held.items()
        }
        return {worker: names for worker, names in late.items() if names}


@dataclass(frozen=True)
class Report:
    """To whom a worker reports, and as whom."""

    witness: Any
    worker: int
    careful: bool
    """Take one file at a time, so that there is no doubt which one a crash comes from."""


_report: Report | None = None  # this process's
_tickets = itertools.count()
_one_at_a_time = threading.Lock()


def report(how: Report | None) -> None:
    """Let the witness know from now on what this process has in hand."""
    global _report
    _report = how


@contextmanager
def in_hand(name: str) -> Iterator[None]:
    """While this lasts, the file ``name`` is to blame for a crash of this process."""
    told = _report
    if told is None:
        yield
        return
    ticket = f"{os.getpid()}-{next(_tickets)}"  # a worker that was started again draws others
    with _one_at_a_time if told.careful else nullcontext():
        ray.get(told.witness.take.remote(told.worker, ticket, name))  # known before anything can happen
        try:
            yield
        finally:
            told.witness.drop.remote(told.worker, ticket)
