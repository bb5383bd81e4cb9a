"""A workspace with leftovers of every kind; what is named stays, byte for byte."""

import pytest

from tasks.config.stages import LabelConfig
from tasks.features.prune import prune
from tasks.label.stage import label
from tasks.maintenance import prune as pruning
from tasks.maintenance.prune import plan_workspace_prune
from tasks.registry.runs import new_record, read_history
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
