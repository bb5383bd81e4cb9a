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
from dataclasses import dataclass, field
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


@dataclass
class Hands:
    """A worker's side of it."""

    witness: Any
    worker: int
    careful: bool = False
    """Take one file at a time, so that there is no doubt which one a crash comes from."""
    _tickets: Iterator[int] = field(default_factory=itertools.count)
    _one_at_a_time: Any = field(default_factory=threading.Lock)

    @contextmanager
    def holding(self, name: str) -> Iterator[None]:
        ticket = f"{os.getpid()}-{next(self._tickets)}"  # a worker that was started again draws others
        with self._one_at_a_time if self.careful else nullcontext():
            ray.get(self.witness.take.remote(self.worker, ticket, name))  # known before anything can happen
            try:
                yield
            finally:
                self.witness.drop.remote(self.worker, ticket)


_hands: Hands | None = None  # this process's


def report_to(witness: Any, worker: int) -> Hands:
    """Let the witness know from now on what this process has in hand."""
    global _hands
    _hands = Hands(witness, worker)
    return _hands


@contextmanager
def in_hand(name: str) -> Iterator[None]:
    """While this lasts, the file ``name`` is to blame for a crash of this process."""
    with _hands.holding(name) if _hands else nullcontext():
        yield
