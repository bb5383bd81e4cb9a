"""The same command with and without a Prefect server: the same pages, exit codes and files."""

from pathlib import Path
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner

from flows.cli.app import app
from flows.orchestration import current_run
from sdt_model.bundle import HeldOut
from sdt_model.weights import to_files
from tasks.registry.models import find_bundle, read_network, write_bundle
from tasks.registry.runs import read_history
from tasks.storage.workspace import Workspace
from tests.fixtures import archives as made
from tests.fixtures.executor import faulty
from tests.fixtures.executor.faulty import HANG_S, write_recordings
from tests.fixtures.services.prefect_server import Server

SMALL = ("training.optim.epochs=1", "training.model.hidden=16", "training.model.heads=2", "workers=1")


class Shown(NamedTuple):
    """What someone sees of a command, with the workspace's place left out."""

    code: int
    page: str
    files: list[str]
    state: tuple[str, str]  # in the history, and why


def run(folder: Path, url: str, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Shown:
    """Run a command in the workspace of a folder; with a URL as a flow run of that server."""
    monkeypatch.setenv("PREFECT_API_URL", url)
    workspace = Workspace(str(folder / "workspace"))
    done = CliRunner().invoke(app, [*arguments, "--workspace", workspace.url])
    history = read_history(workspace, 1)
    assert not history.unreadable
    files = [path for path in workspace.files("") if not path.startswith("runs/") and "/timing/" not in path]
    (record,) = history.records
    assert (record.orchestrator is not None) == bool(url)
    _, error, block = done.stderr.partition("error: ")  # after lines of the log, which have a time
    # Of a worker that crashes Ray writes a line of its own, with its process.
    page = "\n".join(line for line in done.stdout.splitlines() if "(raylet)" not in line)
    text = (page if done.exit_code != 1 else error + block).replace(str(folder), "FOLDER")
    return Shown(done.exit_code, text, files, (record.state, record.reason))


def flow_runs(server: Server) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = server.ask("flow_runs/filter", {"sort": "START_TIME_DESC"})
    return found


def assert_same(
    server: Server, monkeypatch: pytest.MonkeyPatch, folders: list[Path], *arguments: str
) -> tuple[Shown, dict[str, Any]]:
    """Run a command without a server and with it; what was shown, and the flow run."""
    alone = run(folders[0], "", monkeypatch, *arguments)
    known = len(flow_runs(server))
    orchestrated = run(folders[1], server.url, monkeypatch, *arguments)
    assert orchestrated == alone
    runs = flow_runs(server)
    assert len(runs) == known + 1, "the run without a server is none of Prefect's"
    return alone, runs[0]


def page_on_server(server: Server, flow_run: dict[str, Any]) -> str:
    (artifact,) = server.ask("artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [flow_run["id"]]}}})
    return str(artifact["data"]).split("\n\nThroughput")[0]


def write_surprised(workspace: Workspace) -> None:
    """The model in production as one that said other things of a hundred conversations than it will of any archive."""
    trained = find_bundle(workspace, "production")
    held_out = HeldOut(conversations=100, emotions={"surprise": 100.0})
    surprised = trained.model_copy(update={"model_id": "sdt-surprised", "held_out": held_out})
    write_bundle(workspace, surprised.model_id, to_files(surprised, read_network(workspace, trained)))


@pytest.mark.usefixtures("ray_session")
def test_pages_exit_codes_files_and_states_are_the_same(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [tmp_path / "alone", tmp_path / "served"]
    for folder in folders:
        folder.mkdir()
        (folder / "calls.csv").write_text("conversation_id,turn,text\na,0,hello\nb,0,bye\n")
        made.archive(Workspace(str(folder / "workspace")))
    source = str(folders[0] / "calls.csv")
    commands: dict[str, tuple[str, ...]] = {
        "ingest": ("ingest", "table", source, "--archive", "calls"),
        "extract-text": ("extract", "calls", "--set", 'modalities=["text"]'),
        "train": ("train", "made", *(f"--set={field}" for field in SMALL)),
        "label": ("label", "made", "--set=workers=1", "--model=sdt-surprised"),
    }
    for task, arguments in commands.items():
        if task == "label":
            for folder in folders:
                write_surprised(Workspace(str(folder / "workspace")))
        shown, flow_run = assert_same(server, monkeypatch, folders, *arguments)
        warned = task == "label"
        assert shown.code == 0 and shown.page.startswith("## ")
        assert shown.state[0] == ("completed with warning" if warned else "completed")
        assert shown.state[1] == (flow_run["state"]["message"] or "")
        name = "CompletedWithWarning" if warned else "Completed"
        assert (flow_run["state_type"], flow_run["state_name"]) == ("COMPLETED", name)
        served = page_on_server(server, flow_run).replace(str(folders[1]), "FOLDER")
        assert shown.page.startswith(served)
        tasks = server.ask("task_runs/filter", {"flow_runs": {"id": {"any_": [flow_run["id"]]}}})
        assert [run["name"] for run in tasks] == [task]
        (record,) = read_history(Workspace(str(folders[1] / "workspace")), 1).records
        assert (record.name, record.orchestrator) == (
            flow_run["name"],
            f"{server.url[:-4]}/runs/flow-run/{flow_run['id']}",
        )

    wrong = ("train", "made", "--set", 'modalities=["text"]', "--set", "training.model.transformers=inter")
    shown, flow_run = assert_same(server, monkeypatch, folders, *wrong)
    assert shown.code == 1 and shown.page.count("error: ") == 1 and shown.state[0] == "failed"
    assert (flow_run["state_type"], flow_run["state_name"]) == ("FAILED", "Failed")
    assert shown.state[1] in flow_run["state"]["message"]


@pytest.mark.usefixtures("ray_session")
def test_a_run_with_files_set_aside_ends_with_3_and_so_does_one_that_has_nothing_to_do(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faulty.install()
    folders = [tmp_path / "alone", tmp_path / "served"]
    for folder in folders:
        folder.mkdir()
        write_recordings(Workspace(str(folder / "workspace")), f3="abort", f8="hang")
    given = (f"extractors.audio=faulty:{tmp_path}", f"hung_after_s={HANG_S:g}", "retries=0")
    for _ in range(2):
        shown, flow_run = assert_same(
            server, monkeypatch, folders, "extract", "a", *(f"--set={field}" for field in given)
        )
        message = "completed with 2 files set aside: f3, f8"
        assert shown.code == 3 and shown.state == ("completed with faults", message)
        assert [flow_run["state_type"], flow_run["state_name"], flow_run["state"]["message"]] == [
            "COMPLETED", "CompletedWithFaults", message,
        ]  # fmt: skip
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in shown.page.splitlines()]
        assert ["audio", "f3", "its decoder crashed"] in rows
        assert ["audio", "f8", "its decoder hung for more than 3 s"] in rows


def test_outside_of_a_flow_there_is_no_run() -> None:
    with pytest.raises(RuntimeError, match="no flow"):
        current_run()
