"""The folds under way together: calls in threads."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar

import pytest

from tasks.finetuning.finetune import in_threads
from tests.fixtures.patience import PATIENCE_S


def waiting(gate: threading.Barrier, value: int) -> Callable[[], int]:
    def call() -> int:
        gate.wait(timeout=PATIENCE_S)
        return value

    return call


@pytest.mark.parametrize("at_once", [1, 2, 5])
def test_what_they_return_is_in_their_order(at_once: int) -> None:
    calls = [lambda k=k: (time.sleep(0.02 * (3 - k)), k)[1] for k in range(3)]
    assert in_threads(calls, at_once) == [0, 1, 2]


def test_as_many_as_allowed_are_under_way_together() -> None:
    gate = threading.Barrier(2)  # one alone would never get past it
    assert in_threads([waiting(gate, value) for value in range(4)], 2) == [0, 1, 2, 3]


def test_after_one_that_raises_those_under_way_end_and_none_is_begun() -> None:
    gate, ended, others = threading.Barrier(2), threading.Event(), list[int]()

    def raises() -> None:
        gate.wait(timeout=PATIENCE_S)
        raise ValueError("encoder 1")

    def ends() -> None:
        gate.wait(timeout=PATIENCE_S)
        time.sleep(0.2)
        ended.set()

    def other() -> None:
        time.sleep(0.01)
        others.append(1)

    with pytest.raises(ValueError, match="encoder 1"):
        in_threads([raises, ends, *[other] * 1000], 2)
    assert ended.is_set() and len(others) < 1000


def test_an_interrupt_waits_for_none() -> None:
    release = threading.Event()

    def interrupted() -> None:
        raise KeyboardInterrupt

    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        in_threads([interrupted, lambda: release.wait(30) and None], 2)
    assert time.monotonic() - start < 20 and not release.is_set()
    release.set()


@pytest.fixture
def interruptible() -> Iterator[None]:
    """As at a terminal: a shell's job in the background is started with interrupts ignored, and so are its tests."""
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, handler)


@pytest.mark.usefixtures("interruptible")
def test_a_signal_that_another_thread_is_given_is_seen_soon() -> None:
    """As the system may do: the main thread then sleeps on, unless it looks by itself."""
    release = threading.Event()

    def interrupts() -> None:
        time.sleep(0.5)  # until the main thread waits
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        release.wait(30)

    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        in_threads([interrupts, lambda: release.wait(30) and None], 2)
    assert time.monotonic() - start < 20
    release.set()


def test_calls_see_the_caller_s_context() -> None:
    run = ContextVar("run", default="none")
    run.set("nightly")
    assert in_threads([run.get, run.get], 2) == ["nightly", "nightly"]
