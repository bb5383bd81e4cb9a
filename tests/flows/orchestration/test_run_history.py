"""Every run of a flow leaves a record of how it ended, and none hides the run's own error."""

from pathlib import Path

import pytest

from flows.orchestration import Flow, conclude, current_run
from flows.run_state import Outcome
from tasks.config.stages import RunSettings
from tasks.errors import WorkflowError
from tasks.registry.runs import RunRecord, read_history
from tasks.storage.workspace import Workspace


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "")
    monkeypatch.chdir(tmp_path)


def ended(workspace: Workspace) -> RunRecord:
    (record,) = read_history(workspace, 10).records
    return record


def settings(workspace: Workspace) -> RunSettings:
    return RunSettings(workspace=workspace.url, archive="calls")


def raising(error: BaseException) -> Flow[RunSettings, None]:
    def body(_: RunSettings) -> None:
        raise error

    return Flow("sdt-test", body)


def test_a_run_says_what_it_did_and_its_sub_flows_are_part_of_it(workspace: Workspace) -> None:
    def inner(_: RunSettings) -> str:
        conclude(Outcome("inner page", counts={"inner": 1}))
        return current_run().name

    def outer(config: RunSettings) -> tuple[str, str]:
        name = Flow("sdt-inner", inner)(config)
        conclude(Outcome("page", counts={"ok": 2}, outputs=("labels/calls",), warnings=("emotions unlike before",)))
        return current_run().name, name

    (name, inner_name), run = Flow("sdt-outer", outer).run(settings(workspace))
    record = ended(workspace)
    assert name == inner_name == record.name and name.startswith("outer-")
    assert run.outcome is not None and run.outcome.page == "page"
    assert (record.state, record.reason) == ("completed with warning", "completed with emotions unlike before")
    assert (record.flow, record.counts, record.outputs) == (
        "sdt-outer", {"ok": 2}, (workspace.uri("labels/calls"),),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("error", "state", "reason"),
    [
        (WorkflowError("the store is gone\n  see that it is up"), "failed", "the store is gone"),
        (ValueError("cannot read 'I hate you'"), "failed", "ValueError; see the run's own output"),
        (KeyboardInterrupt(), "interrupted", "Ctrl-C"),
        (SystemExit(143), "interrupted", "SIGTERM"),
    ],
)
def test_a_run_that_fails_says_why_without_quoting_anyone(
    error: BaseException, state: str, reason: str, workspace: Workspace
) -> None:
    with pytest.raises(type(error)):
        raising(error)(settings(workspace))
    assert (ended(workspace).state, ended(workspace).reason) == (state, reason)


def test_a_record_that_cannot_be_written_leaves_the_run_s_own_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WorkflowError, match="its own"):
        raising(WorkflowError("its own"))(RunSettings(workspace=str(tmp_path / "file"), archive="calls"))
    with pytest.raises(WorkflowError, match="its own"):
        raising(WorkflowError("its own"))(RunSettings(workspace="s3://ann:hush@bucket", archive="calls"))
