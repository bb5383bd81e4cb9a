"""When a lease has run out, on disk and on an object store, whatever clocks and files say."""

import logging
import os
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tasks.errors import WorkflowError
from tasks.storage.lease import lease
from tasks.storage.workspace import Workspace
from tests.fixtures.leases import FIRST, HOUR, SECONDS, ManualClock, elsewhere, killed, leases


@pytest.fixture(params=["disk", "store"])
def workspace(request: pytest.FixtureRequest, tmp_path: Path) -> Workspace:
    on_store: Workspace = request.getfixturevalue("s3_workspace")
    return on_store if request.param == "store" else Workspace(str(tmp_path))


@pytest.mark.long
def test_a_run_that_was_killed_on_this_machine_holds_nothing(
    workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    killed(workspace)
    clock = ManualClock(lambda: pytest.fail("nothing is waited for"))
    with caplog.at_level(logging.WARNING, "sdt.lease"), lease(workspace, FIRST, SECONDS, clock=clock):
        assert len(leases(workspace)) == 1
    assert "night-owl ran out" in caplog.text and leases(workspace) == []


@pytest.mark.long
@pytest.mark.parametrize("expires", ["2999-01-01T00:00:00Z", "1999-01-01T00:00:00Z"])
def test_a_run_that_was_killed_elsewhere_holds_its_days_until_its_lease_runs_out(
    workspace: Workspace, expires: str
) -> None:
    """Whatever the clock of its machine was: how long it lasts is watched from here."""
    elsewhere(workspace, killed(workspace), expires=expires)
    waited: list[datetime] = []

    def meanwhile() -> None:
        assert len(leases(workspace)) == 1, "it is held still"
        waited.append(clock.time)
        clock.time += HOUR / 4

    clock = ManualClock(meanwhile)
    with lease(workspace, FIRST, SECONDS, clock=clock):
        assert len(leases(workspace)) == 1 and len(waited) == 4
    assert leases(workspace) == []


def test_a_lease_that_was_not_renewed_for_long_by_the_stores_own_dates_is_over_at_once(tmp_path: Path) -> None:
    workspace = Workspace(str(tmp_path))
    path = killed(workspace)
    elsewhere(workspace, path, expires="2999-01-01T00:00:00Z", seconds=60)
    clock = ManualClock(lambda: pytest.fail("nothing is waited for"))
    long_ago = time.time() - 70
    os.utime(workspace.path(path), (long_ago, long_ago))
    with lease(workspace, FIRST, SECONDS, clock=clock):
        pass


def test_a_clock_that_is_an_hour_ahead_does_not_take_what_a_living_run_holds(workspace: Workspace) -> None:
    with lease(workspace, FIRST, 3600, "night-owl") as living:
        (path,) = leases(workspace)
        elsewhere(workspace, path, expires=(datetime.now(UTC) - HOUR).isoformat())
        ahead = ManualClock(lambda: (living.renew(), elsewhere(workspace, path)))
        ahead.time += 2 * HOUR
        with pytest.raises(WorkflowError, match="another run is writing"), lease(workspace, FIRST, 60, clock=ahead):
            pass
        living.check()


@pytest.mark.long
@pytest.mark.parametrize("content", [b"", b"{", b"null", b'{"holder": 1}', b"\x00" * 300])
def test_a_lease_that_cannot_be_read_holds_for_as_long_as_one_lasts(workspace: Workspace, content: bytes) -> None:
    workspace.write_bytes("leases/made/other-1-0.json", content)
    clock = ManualClock()
    began = clock.time
    with lease(workspace, FIRST, SECONDS, clock=clock):
        assert SECONDS < (clock.time - began).total_seconds() < 2 * SECONDS and len(leases(workspace)) == 1
    assert leases(workspace) == []


def test_a_lease_of_an_earlier_version_counts(workspace: Workspace) -> None:
    note = {"holder": "old", "period": {"since": None, "until": None}, "taken": "2026-03-01T00:00:00Z"}
    clock = ManualClock(lambda: workspace.write_json(path, note | {"expires": clock.time.isoformat()}))
    path = "leases/made/old-1-0.json"
    workspace.write_json(path, note | {"expires": clock.time.isoformat()})
    with pytest.raises(WorkflowError, match="old, since 2026"), lease(workspace, FIRST, SECONDS, clock=clock):
        pass
    assert leases(workspace) == [path]
