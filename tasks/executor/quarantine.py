"""Files that workers crash on or hang in: set aside by name, so that each costs itself and nothing else.

A file is set aside when a worker dies over it for the second time: the first time may be the machine's fault.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import ray

from tasks.executor.watchdog import Watch, Watchdog, WatchdogLink

CRASHED = "its decoder crashed"


def hung(seconds: float) -> str:
    return f"its decoder hung for more than {seconds:g} s"


@dataclass(frozen=True)
class Death:
    """A worker's end: the files that it was reading, and the one of them that is now set aside, if there is one."""

    suspects: list[str]
    aside: str | None = None


class Quarantine:
    """The files set aside so far, and the strikes against the suspects."""

    def __init__(self, watch: Watch, retries: int) -> None:
        self.aside = dict(watch.aside)
        self._limit = watch.hung_after_s
        self._forgiven = min(retries, 1)
        self._strikes: Counter[str] = Counter()
        self._hung: dict[int, list[str]] = {}
        self._watchdog: Any = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Watchdog).remote()

    def hanging(self) -> list[int]:
        """Workers to be killed; what they hang in is remembered until `worker_died` is asked for it."""
        overdue: dict[int, list[str]] = ray.get(self._watchdog.overdue.remote(self._limit))
        new = {worker: names for worker, names in overdue.items() if worker not in self._hung}
        self._hung |= new
        return list(new)

    def link(self, worker: int, one_at_a_time: bool) -> WatchdogLink:
        """How this worker reports what it reads."""
        return WatchdogLink(self._watchdog, worker, one_at_a_time)

    def worker_died(self, worker: int) -> Death:
        """What a worker died of. With several suspects, the next try reads one file at a time."""
        opened: list[str] = ray.get(self._watchdog.worker_died.remote(worker))
        late = self._hung.pop(worker, [])
        suspects = late or opened
        if len(suspects) != 1:
            return Death(suspects)
        (name,) = suspects
        self._strikes[name] += 1
        if self._strikes[name] <= self._forgiven:
            return Death(suspects)
        self.aside[name] = hung(self._limit) if late else CRASHED
        return Death(suspects, name)

    def dismiss(self) -> None:
        """End the watchdog."""
        ray.kill(self._watchdog)
