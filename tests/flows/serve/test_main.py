"""`make serve` as a user has it: a server, a worker and the deployments, until Ctrl-C."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from flows.serve.__main__ import serve
from tasks.errors import WorkflowError
from tasks.registry.runs import read_history
from tasks.storage.workspace import Workspace
from tests.fixtures import archives as made
from tests.fixtures.command import PREFECT, environment
from tests.fixtures.patience import PATIENCE_S
from tests.fixtures.services.gateway import free_port

CHECKOUT = Path(__file__).parents[3]


def session_members(mark: str) -> list[str]:
    """Command lines of the processes whose environment holds the mark: they inherit it, whatever group they are in."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark.encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
    return found


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple["subprocess.Popen[str]", list[str]]]:
    """It, once it has said how to use it, and what it has said."""
    surroundings = environment(tmp_path, SDT_WORKSPACE=str(tmp_path / "workspace"), SERVED=str(tmp_path))
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.serve", "--port", str(free_port()), "--home", str(tmp_path / "prefect")],
        cwd=CHECKOUT, env=surroundings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        lines: list[str] = []
        for line in process.stdout:
            lines.append(line.strip())
            if line.startswith("Ctrl-C"):
                break
        yield process, lines
    finally:
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGTERM)
        process.wait()


@pytest.mark.prefect
@pytest.mark.process
@pytest.mark.timeout(1200)
def test_a_deployment_runs_on_it_and_ctrl_c_leaves_no_process(
    served: tuple["subprocess.Popen[str]", list[str]], tmp_path: Path
) -> None:
    process, lines = served
    exports = [line.removeprefix("export ").split("=", 1) for line in lines if line.startswith("export ")]
    (command,) = (line for line in lines if "prefect deployment run sdt-train/default" in line)
    assert any(line.startswith("Prefect's page: http://127.0.0.1:") for line in lines), lines
    workspace = Workspace(str(tmp_path / "workspace"))
    made.archive(workspace, name="synthetic-demo")
    said = {"PREFECT_HOME": str(tmp_path / "second"), **dict(exports)}
    surroundings = environment(tmp_path, **said) | {"PATH": f"{PREFECT.parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        command, shell=True, cwd=CHECKOUT, env=surroundings, capture_output=True, text=True, timeout=PATIENCE_S
    )
    log = (tmp_path / "prefect" / "worker.log").read_text()
    assert done.returncode == 0 and "Completed" in done.stdout, done.stdout + done.stderr + log
    (record,) = read_history(workspace, 10).records
    assert record.state == "completed" and record.command == "prefect deployment run sdt-train/default"
    assert record.orchestrator is not None and record.orchestrator.startswith(exports[0][1].removesuffix("/api"))
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(300) == 0
    assert session_members(f"SERVED={tmp_path}") == []


def test_a_port_that_is_taken_and_a_folder_that_is_no_checkout_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        monkeypatch.chdir(CHECKOUT)
        with pytest.raises(WorkflowError, match=rf"port {port} cannot be used[\s\S]*PORT="):
            serve(tmp_path / "prefect", port)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WorkflowError, match=r"there is no deploy/register.sh"):
        serve(tmp_path / "prefect", free_port())
    assert not (tmp_path / "prefect").exists()
