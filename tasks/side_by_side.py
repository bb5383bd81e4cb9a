"""Calls that wait for Ray, side by side, each in a thread of its own."""

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from typing import TypeVar

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
        begun: list[Future[Result]] = [pool.submit(copy_context().run, call) for call in calls]
        waiting = set(begun)
        while waiting:
            # In slices: a signal that another thread is given does not wake this one.
            ended, waiting = wait(waiting, timeout=1.0, return_when=FIRST_COMPLETED)
            for future in ended:
                future.result()
        return [future.result() for future in begun]
    except Exception:
        pool.shutdown(wait=True, cancel_futures=True)
        raise
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
