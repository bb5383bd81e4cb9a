"""The processes below this one: what they are, and how they are ended. Linux tells of them in /proc."""

import ctypes
import os
import signal
import sys
import time
from pathlib import Path

_GRACE_S = 20.0  # for processes to end by themselves
_SET_SUBREAPER, _SET_DEATH_SIGNAL = 36, 1  # of Linux's prctl


def children_by_parent() -> dict[int, set[int]]:
    """The processes below each process of this machine that has any; without those that are dead and not yet buried."""
    children: dict[int, set[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent, *_ = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if state not in "ZX":
            children.setdefault(int(parent), set()).add(int(stat.parent.name))
    return children


def descendants() -> set[int]:
    """Every process below this one."""
    children = children_by_parent()
    below_this, queue = set[int](), [os.getpid()]
    while queue:
        below = children.get(queue.pop(), set())
        below_this |= below
        queue += below
    return below_this


def end(pids: set[int]) -> None:
    """Ask processes to end, and give them time to."""
    _signal(pids, signal.SIGTERM)
    _until_gone(pids, _GRACE_S)


def kill_descendants() -> None:
    """Kill every process below this one, also those whose own parent is gone: they are this one's then."""
    while left := descendants():
        _signal(left, signal.SIGKILL)
        _until_gone(left, 1.0)


def adopt_orphans() -> None:
    """Become the parent of every process below whose own parent ends before it."""
    _prctl(_SET_SUBREAPER, 1)


def _signal(pids: set[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def _until_gone(pids: set[int], seconds: float) -> None:
    until = time.monotonic() + seconds
    while pids & descendants() and time.monotonic() < until:
        time.sleep(0.1)


def die_with_parent() -> None:
    """Have this process asked to end when its parent ends, however that does."""
    _prctl(_SET_DEATH_SIGNAL, signal.SIGTERM)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
