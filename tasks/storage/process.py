"""Which process did something, told from any other that had or will have its number."""

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict


class Process(BaseModel):
    """A process of a machine, told from any other that had or will have its number.

    Attributes:
        pid: its number.
        started: when it began, in clock ticks after the machine did.
        boot: the machine's id since it was started.
        namespace: in which its number counts, as containers have numbers of their own.
    """

    model_config = ConfigDict(frozen=True)

    pid: int
    started: int
    boot: str
    namespace: str

    def is_visible(self) -> bool:
        """Whether it would be seen from here, if it lived: on the same machine and among the same numbers."""
        return (self.boot, self.namespace) == (_boot(), _namespace())

    def is_alive(self) -> bool:
        """Whether it still runs; only of use where it is visible."""
        return _started(self.pid) == self.started


def this_process() -> Process | None:
    """The process that asks; None where the system does not tell."""
    boot, namespace, started = _boot(), _namespace(), _started(os.getpid())
    if boot is None or namespace is None or started is None:
        return None
    return Process(pid=os.getpid(), started=started, boot=boot, namespace=namespace)


def _started(pid: int) -> int | None:
    """When a process began, in ticks; None where there is none, or one that is dead and not yet buried."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    state, *numbers = stat.rpartition(")")[2].split()  # its name, before, may hold anything
    return None if state in "ZXx" else int(numbers[18])


def _boot() -> str | None:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None


def _namespace() -> str | None:
    try:
        return os.readlink("/proc/self/ns/pid")  # noqa: PTH115 - it is no path
    except OSError:
        return None
