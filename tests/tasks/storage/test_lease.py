"""Leases on disk and on an object store, between threads and processes that live, hang and die."""

import contextlib
import json
import logging
import os
import random
import re
import threading
import time
from contextvars import ContextVar
from pathlib import Path

import pytest

from tasks.archive.leases import (
    archive_of_ingest,
    features_of,
    labels_of,
    making_of,
    production_pointer,
    whole_workspace,
)
from tasks.config.date_range import DateRange
from tasks.errors import StoreOut, WorkflowError
from tasks.storage.lease import lease
from tasks.storage.lease_note import Clock
from tasks.storage.workspace import Workspace
from tests.fixtures.leases import FIRST, FIRST_DAY, HOUR, SECOND, SECONDS, ManualClock, leases


@pytest.fixture(params=["disk", "store"])
def workspace(request: pytest.FixtureRequest, tmp_path: Path) -> Workspace:
    on_store: Workspace = request.getfixturevalue("s3_workspace")
    return on_store if request.param == "store" else Workspace(str(tmp_path))


def test_other_days_and_other_archives_are_free_and_nothing_is_left(workspace: Workspace) -> None:
    with (
        lease(workspace, FIRST, SECONDS),
        lease(workspace, SECOND, SECONDS),
        lease(workspace, labels_of("other", FIRST_DAY), SECONDS),
    ):
        assert len(leases(workspace)) == 2
    assert workspace.files("leases") == []


def test_a_living_run_is_named_and_keeps_its_days(workspace: Workspace) -> None:
    clock = ManualClock()
    with lease(workspace, FIRST, SECONDS, "night-owl", clock) as living:
        clock.meanwhile = living.renew
        message = (
            rf"another run is writing labels of archive 'made', 2026-03-01\n.*process {os.getpid()}, run night-owl, "
            rf"since 20.*\n.*its lease is {workspace.url}/leases/made/"
        )
        whole = labels_of("made", DateRange())
        with pytest.raises(WorkflowError, match=message), lease(workspace, whole, SECONDS, clock=clock):
            pass
        assert len(leases(workspace)) == 1


def test_a_model_is_held_whole_and_others_are_free(workspace: Workspace) -> None:
    model, encoder, other = (
        making_of("train", "model", "a"),
        making_of("finetune", "encoder", "a"),
        labels_of("a", FIRST_DAY),
    )
    clock = ManualClock()
    with (
        lease(workspace, model, SECONDS, "first", clock) as living,
        lease(workspace, encoder, SECONDS, clock=clock),
        lease(workspace, other, SECONDS, clock=clock),
    ):
        clock.meanwhile = living.renew
        message = r"another run is writing model 'a'\n.*run first, since 20.*\n.*its lease is .*/leases/\.models/a/"
        with pytest.raises(WorkflowError, match=message), lease(workspace, model, SECONDS, clock=clock):
            pass
    assert workspace.files("leases") == []


@pytest.mark.long
def test_who_removes_leftovers_waits_for_all_and_all_for_it(workspace: Workspace) -> None:
    held = (labels_of("made", FIRST_DAY), making_of("train", "model", "m"), archive_of_ingest("a"),
            features_of("a", "text", "f"), production_pointer())  # fmt: skip
    for target in held[:4]:
        for first, second in ((target, whole_workspace()), (whole_workspace(), target)):
            clock = ManualClock()
            with lease(workspace, first, SECONDS, "first", clock) as living:
                clock.meanwhile = living.renew
                refused = pytest.raises(WorkflowError, match=rf"another run is writing {re.escape(first.what)}")
                with refused, lease(workspace, second, SECONDS, clock=clock):
                    pass
    with contextlib.ExitStack() as stack:
        for target in held:
            stack.enter_context(lease(workspace, target, SECONDS))
    assert workspace.files("leases") == []


def test_a_lease_whose_file_was_taken_away_is_lost(workspace: Workspace) -> None:
    with lease(workspace, FIRST, 3600.0) as robbed:
        workspace.remove(*leases(workspace))
        assert not robbed.renew() and leases(workspace) == []
        with pytest.raises(WorkflowError, match="another took over"):
            robbed.check()


@pytest.mark.long
def test_a_run_that_was_held_up_for_too_long_writes_no_more(workspace: Workspace) -> None:
    """A stopped process cannot renew; its days are taken, and when it goes on it is told so."""
    clock = ManualClock()
    with lease(workspace, FIRST, SECONDS, clock=clock) as stopped:
        clock.time += HOUR
        with lease(workspace, FIRST, SECONDS, clock=clock):
            for _ in range(2):
                with pytest.raises(WorkflowError, match=r"(?s)ran out at .*nothing more is written"):
                    stopped.check()
            assert not stopped.renew()
            assert len(leases(workspace)) == 1, "the one that woke up left this one alone"


def test_a_run_that_was_held_up_goes_on_where_nobody_has_taken_over(workspace: Workspace) -> None:
    clock = ManualClock()
    with lease(workspace, FIRST, SECONDS, clock=clock) as stopped:
        clock.time += HOUR
        stopped.check()
        assert json.loads(workspace.read_bytes(*leases(workspace)))["expires"] > clock.time.isoformat()
        assert stopped.renew()
    assert leases(workspace) == []


def test_it_is_renewed_while_its_run_lives(workspace: Workspace) -> None:
    renewed = threading.Event()

    class Watched(Clock):
        """The machine's own, which says when it is time to renew for the second time."""

        waits = 0

        def wait(self, event: threading.Event, seconds: float) -> bool:
            self.waits += 1
            if self.waits > 1:
                renewed.set()
            return super().wait(event, seconds)

    with lease(workspace, FIRST, 1.0, clock=Watched()) as living:
        (path,) = leases(workspace)
        first = json.loads(workspace.read_bytes(path))["expires"]
        assert renewed.wait(60) and json.loads(workspace.read_bytes(path))["expires"] > first
        living.check()


def test_a_store_that_is_out_does_not_free_what_another_run_holds(tmp_path: Path) -> None:
    class OutWhenRead(Workspace):
        def read_bytes(self, relative: str) -> bytes:
            raise StoreOut(f"{relative}: the store does not answer")

    with lease(Workspace(str(tmp_path)), FIRST, 60.0):
        with pytest.raises(StoreOut, match="does not answer"), lease(OutWhenRead(str(tmp_path)), FIRST, 60.0):
            pass
        assert len(leases(Workspace(str(tmp_path)))) == 1


def test_what_the_renewing_thread_logs_belongs_to_its_run(tmp_path: Path) -> None:
    run: ContextVar[str] = ContextVar("run", default="none")
    logged = threading.Event()
    runs: list[str] = []

    class Broken(Clock):
        def wait(self, event: threading.Event, seconds: float) -> bool:  # noqa: ARG002
            if logged.is_set():
                return event.wait()
            (tmp_path / "leases").rename(tmp_path / "gone")
            (tmp_path / "leases").touch()  # a file where the folder would be
            return False

    class Listening(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:  # noqa: ARG002
            runs.append(run.get())
            (tmp_path / "leases").unlink()
            (tmp_path / "gone").rename(tmp_path / "leases")
            logged.set()

    handler = Listening()
    logging.getLogger("sdt.lease").addHandler(handler)
    try:
        run.set("night-owl")
        with lease(Workspace(str(tmp_path)), FIRST, 60.0, clock=Broken()):
            assert logged.wait(60)
    finally:
        logging.getLogger("sdt.lease").removeHandler(handler)
    assert runs == ["night-owl"]


@pytest.mark.long
def test_of_many_at_once_never_two_hold_a_day(workspace: Workspace) -> None:
    inside, most, done, count = 0, 0, 0, 3
    lock, asked = threading.Lock(), threading.Event()

    def ask() -> None:
        asked.set()
        time.sleep(random.uniform(0.05, 0.5))  # else they ask at once for ever

    def run() -> None:
        nonlocal inside, most, done
        clock = ManualClock(ask)
        clock.sleep = lambda _: ask()  # type: ignore[method-assign] # no time passes: nobody's lease runs out
        with lease(workspace, FIRST, SECONDS, clock=clock):
            with lock:
                inside += 1
                most = max(most, inside)
                asked.clear()
            assert done == count - 1 or asked.wait(60), "the others want it too"
            with lock:
                inside, done = inside - 1, done + 1

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1 and done == count and leases(workspace) == []


def test_what_fails_after_another_took_over_failed_because_of_that(workspace: Workspace) -> None:
    with (
        pytest.raises(WorkflowError, match=r"the lease on .* ran out at .*\n.*another took over") as caught,
        lease(workspace, FIRST, 3600.0),
    ):
        for path in leases(workspace):
            workspace.remove(path)
        raise FileNotFoundError("a file that the other removed")
    assert isinstance(caught.value.__cause__, FileNotFoundError)
    with pytest.raises(FileNotFoundError), lease(workspace, FIRST, 3600.0):
        raise FileNotFoundError("of its own")
