"""Files that workers crash on or hang in: found, and set aside by name, so that each costs itself and nothing else.

A file is set aside when a worker dies over it for the second time: the first time may be the machine's fault.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import ray

from tasks.executor.watchdog import Report, Witness

CRASHED = "its decoder crashed"


def hung(seconds: float) -> str:
    return f"its decoder hung for more than {seconds:g} s"


@dataclass(frozen=True)
class Watch:
    """How a stage's workers are watched while they read files."""

    hung_after_s: float
    """Longest that a file may be in hand at a time."""
    aside: dict[str, str] = field(default_factory=dict)
    """Files that were set aside earlier, and why."""


@dataclass(frozen=True)
class Death:
    """A worker's end: the files it had in hand, and the one of them that is now set aside, if there is one."""

    suspects: list[str]
    aside: str | None = None


class Culprits:
    """The files set aside so far, and the suspects."""

    def __init__(self, watch: Watch, retries: int) -> None:
        self.aside = dict(watch.aside)
        self._limit = watch.hung_after_s
        self._forgiven = min(retries, 1)
        self._strikes: Counter[str] = Counter()
        self._hung: dict[int, list[str]] = {}
        self._witness: Any = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Witness).remote()

    def hanging(self) -> list[int]:
        """Workers to be killed; what they hang in is remembered until `died` is asked for it."""
        found: dict[int, list[str]] = ray.get(self._witness.overdue.remote(self._limit))
        new = {worker: names for worker, names in found.items() if worker not in self._hung}
        self._hung |= new
        return list(new)

    def report(self, worker: int, careful: bool) -> Report:
        return Report(self._witness, worker, careful)

    def died(self, worker: int) -> Death:
        """What a worker died of. With several suspects, the next try takes one file at a time."""
        held: list[str] = ray.get(self._witness.died.remote(worker))
        late = self._hung.pop(worker, [])
        suspects = late or held
        if len(suspects) != 1:
            return Death(suspects)
        (name,) = suspects
        self._strikes[name] += 1
        if self._strikes[name] <= self._forgiven:
            return Death(suspects)
        self.aside[name] = hung(self._limit) if late else CRASHED
        return Death(suspects, name)

    def dismiss(self) -> None:
        ray.kill(self._witness)
