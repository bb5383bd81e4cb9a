"""A workspace with leftovers of every kind; what is named stays, byte for byte."""

import os
import time
from pathlib import Path

import pytest

from tasks.archive.leases import labels_of
from tasks.config.date_range import DateRange
from tasks.config.stages import LabelConfig
from tasks.errors import WorkflowError
from tasks.features.prune import plan_and_prune, prune
from tasks.label.stage import label
from tasks.maintenance import prune as pruning
from tasks.maintenance.prune import plan_workspace_prune
from tasks.registry.runs import new_record, read_history
from tasks.storage.lease import lease
from tasks.storage.workspace import Workspace
from tests.fixtures import archives as made
from tests.fixtures.executor.local import LOCAL
from tests.fixtures.models import promoted_model

LEFTOVERS = {
    "archives/made/utterances/older/part-00000.parquet": "of an earlier ingest",
    "archives/made/rejected/older/part-00000.parquet": "of an earlier ingest",
    "features/gone/text/f/part-00000-0123456789ab.parquet": "the archive is gone",
    "labels/made/date=2026-03-01/part-00000-older.parquet": "not of the day's manifest",
    "models/.runs/sdt-made/checkpoint_000001/latest.safetensors": "the model is there",
}
UNFINISHED = (
    "archives/half/utterances/f/part-00000.parquet",
    "labels/made/date=2026-04-01/part-00000-f.parquet",
    "models/.runs/sdt-to-be/checkpoint_000001/latest.safetensors",
)


def test_leftovers_go_and_what_is_named_or_unfinished_stays(workspace: Workspace) -> None:
    made.archive(workspace)
    promoted_model(workspace)
    label(LabelConfig(workspace=workspace.url, ray=LOCAL, archive="made"))
    for path in UNFINISHED:
        workspace.write_bytes(path, b"unfinished")
    before = {path: workspace.read_bytes(path) for path in workspace.files("")}
    assert plan_workspace_prune(workspace) == []
    for path in LEFTOVERS:
        workspace.write_bytes(path, b"left")
    planned = plan_workspace_prune(workspace)
    assert {path: removal.why for removal in planned for path in removal.files} == LEFTOVERS
    assert all(removal.bytes == 4 for removal in planned) and set(LEFTOVERS) <= set(workspace.files(""))
    one = plan_workspace_prune(workspace, "made")
    assert {path for removal in one for path in removal.files} == {path for path in LEFTOVERS if "/made/" in path}
    prune(workspace, planned)
    assert {path: workspace.read_bytes(path) for path in workspace.files("")} == before


def test_records_of_runs_that_ended_long_ago_go(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "KEPT_RUNS", 2)
    for number, state in enumerate(("running", "failed", "completed", "completed")):
        record = new_record("able-ant", "sdt-label", "sdt label calls", "calls", {})
        record = record.model_copy(update={"run_id": f"20260301T00000{number}Z-label-a", "state": state})
        workspace.write_json(f"runs/{record.run_id}.json", record.model_dump(mode="json"))
    workspace.write_bytes("runs/notes.txt", b"ours")
    (removal,) = plan_workspace_prune(workspace)
    assert removal.files == ("runs/20260301T000001Z-label-a.json",) and removal.bytes > 0
    assert "last 2 runs" in removal.why and plan_workspace_prune(workspace, "made") == []
    prune(workspace, [removal])
    history = read_history(workspace, 10)
    assert [found.state for found in history.records] == ["completed", "completed", "running"]
    assert list(history.unreadable) == ["runs/notes.txt"]


def test_temporary_files_of_killed_processes_go_and_those_being_written_stay(workspace: Workspace) -> None:
    made.archive(workspace)
    folder = Path(workspace.path("features/made"))
    for name, age in ((".tmp-old", 2 * pruning.TEMPORARY_S), (".tmp-young", 10.0)):
        (folder / name).write_bytes(b"half")
        then = time.time() - age
        os.utime(folder / name, (then, then))
    (removal,) = plan_workspace_prune(workspace)
    assert removal.files == ("features/made/.tmp-old",) and removal.bytes == 4
    prune(workspace, [removal])
    assert [path.name for path in folder.glob(".tmp-*")] == [".tmp-young"]


def test_nothing_is_removed_beside_a_run(workspace: Workspace) -> None:
    made.archive(workspace)
    workspace.write_bytes("labels/made/date=2026-03-01/part-00000-older.parquet", b"left")
    refused = pytest.raises(WorkflowError, match=r"another run is writing labels of archive 'made'.*\n.*night-owl")
    with lease(workspace, labels_of("made", DateRange()), 1.0, "night-owl"), refused:
        plan_and_prune(workspace, lambda: pytest.fail("nothing is planned beside a run"))
    assert plan_and_prune(workspace, lambda: plan_workspace_prune(workspace)) == []
