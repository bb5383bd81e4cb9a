"""Calls that wait for Ray, side by side, each in a thread of its own."""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from typing import TypeVar

log = logging.getLogger("sdt.side_by_side")

Result = TypeVar("Result")


def side_by_side(calls: Sequence[Callable[[], Result]], at_once: int) -> list[Result]:
    """What the calls return, in their order; at most ``at_once`` are under way together.

    After one that raises, no other is begun, those under way are waited for, and its error is raised. An interrupt
    waits for none.
    """
    if at_once == 1:
        return [call() for call in calls]
    pool = ThreadPoolExecutor(at_once, thread_name_prefix="side-by-side")
    try:
        # In the caller's context: a log handler may ask it which run a line belongs to.
        begun = [pool.submit(copy_context().run, call) for call in calls]
        _wait_for_all(begun)
        return [future.result() for future in begun]
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _wait_for_all(begun: list[Future[Result]]) -> None:
    failure: Exception | None = None
    waiting = set(begun)
    while waiting:
        # In slices: a signal that another thread is given does not wake this one.
        ended, waiting = wait(waiting, timeout=1.0, return_when=FIRST_COMPLETED)
        for error in (future.exception() for future in ended if not future.cancelled()):
            if error is not None and not isinstance(error, Exception):
                raise error
            if error is not None and failure is None:
                failure = error
                left = [future for future in waiting if not future.cancel()]
                log.error(
                    "one of %d failed, %d under way are waited for: %s",
                    len(begun),
                    len(left),
                    str(error).partition("\n")[0],
                )
    if failure is not None:
        raise failure
