"""Leases on disk and on an object store, between threads and processes that live, hang and die."""

import json
import logging
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pytest

from tasks.archive.leases import labels_of, making_of
from tasks.config.date_range import DateRange
from tasks.errors import WorkflowError
from tasks.storage.lease import lease
from tasks.storage.workspace import Workspace

FIRST_DAY = DateRange(since=date(2026, 3, 1), until=date(2026, 3, 1))
SECOND_DAY = DateRange(since=date(2026, 3, 2), until=date(2026, 3, 2))
FIRST, SECOND = labels_of("made", FIRST_DAY), labels_of("made", SECOND_DAY)
SECONDS = 6.0

HOLDER = """
import sys, time
from tests.tasks.storage.test_lease import FIRST
from tasks.storage.lease import lease
from tasks.storage.workspace import Workspace
with lease(Workspace(sys.argv[1]), FIRST, float(sys.argv[2]), "night-owl") as held:
    print("held", flush=True)
    time.sleep(float(sys.argv[3]))
    held.check(), held.check()
"""


@contextmanager
def holder(workspace: Workspace, seconds: float, busy: float = 60.0) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the first day; once it was busy for so many seconds it asks whether it still does."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, workspace.url, str(seconds), str(busy)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture(params=["disk", "store"])
def workspace(request: pytest.FixtureRequest, tmp_path: Path) -> Workspace:
    on_store: Workspace = request.getfixturevalue("s3_workspace")
    return on_store if request.param == "store" else Workspace(str(tmp_path))


def leases(workspace: Workspace) -> list[str]:
    return workspace.files(FIRST.folder)


def test_other_days_and_other_archives_are_free_and_nothing_is_left(workspace: Workspace) -> None:
    with (
        lease(workspace, FIRST, SECONDS),
        lease(workspace, SECOND, SECONDS),
        lease(workspace, labels_of("other", FIRST_DAY), SECONDS),
    ):
        assert len(leases(workspace)) == 2
    assert workspace.files("leases") == []


def test_a_living_run_is_named_and_keeps_its_days(workspace: Workspace) -> None:
    with holder(workspace, SECONDS) as process:
        said = (
            rf"another run is writing labels of archive 'made', 2026-03-01\n.*process {process.pid}, run night-owl, "
            rf"since 20.*\n.*its lease is {workspace.url}/leases/made/"
        )
        with pytest.raises(WorkflowError, match=said), lease(workspace, labels_of("made", DateRange()), SECONDS):
            pass
        assert len(leases(workspace)) == 1


def test_a_model_is_held_whole_and_others_are_free(workspace: Workspace) -> None:
    model, encoder, other = (
        making_of("train", "model", "a"),
        making_of("finetune", "encoder", "a"),
        labels_of("a", FIRST_DAY),
    )
    with lease(workspace, model, 9.0, "first"), lease(workspace, encoder, 9.0), lease(workspace, other, 9.0):
        said = r"another run is writing model 'a'\n.*run first, since 20.*\n.*its lease is .*/leases/\.models/a/"
        with pytest.raises(WorkflowError, match=said), lease(workspace, model, 9.0):
            pass
    assert workspace.files("leases") == []


def test_a_run_that_was_killed_holds_its_days_until_its_lease_runs_out(
    workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    with holder(workspace, SECONDS) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
    with caplog.at_level(logging.WARNING, "sdt.lease"), lease(workspace, FIRST, SECONDS):
        assert len(leases(workspace)) == 1
    assert "night-owl ran out" in caplog.text and leases(workspace) == []


def test_a_run_that_was_held_up_for_too_long_writes_no_more(workspace: Workspace) -> None:
    """A stopped process cannot renew; its days are taken, and when it goes on it is told so."""
    with holder(workspace, 1, busy=3) as process:
        process.send_signal(signal.SIGSTOP)
        with lease(workspace, FIRST, SECONDS):
            process.send_signal(signal.SIGCONT)
            _, said = process.communicate(timeout=60)
            assert "ran out at" in said and "nothing more is written" in said
            assert len(leases(workspace)) == 1, "the one that woke up left this one alone"


def test_a_run_that_was_held_up_goes_on_where_nobody_has_taken_over(workspace: Workspace) -> None:
    with holder(workspace, 1, busy=1) as process:
        process.send_signal(signal.SIGSTOP)
        time.sleep(2)
        process.send_signal(signal.SIGCONT)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0 and leases(workspace) == [], said


def test_it_is_renewed_while_its_run_lives(workspace: Workspace) -> None:
    with lease(workspace, FIRST, 4.0) as held:
        (path,) = leases(workspace)
        first = json.loads(workspace.read_bytes(path))["expires"]
        while json.loads(workspace.read_bytes(path))["expires"] == first:
            time.sleep(0.05)
        held.check()


def test_of_many_at_once_never_two_hold_a_day(workspace: Workspace) -> None:
    inside, most, done = 0, 0, 0
    lock = threading.Lock()

    def run() -> None:
        nonlocal inside, most, done
        try:
            with lease(workspace, FIRST, 10.0):
                with lock:
                    inside += 1
                    most = max(most, inside)
                time.sleep(0.2)
                with lock:
                    inside, done = inside - 1, done + 1
        except WorkflowError:
            pass

    threads = [threading.Thread(target=run) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1 and done >= 1 and leases(workspace) == []
