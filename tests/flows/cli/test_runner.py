"""What the commands share; the commands themselves are tried in test_cli."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from flows.cli.runner import Finished, end, errors_in_one_block
from tasks.config.stages import RunSettings
from tasks.errors import WorkflowError
from tasks.registry.runs import read_history
from tasks.storage.workspace import Workspace
from tests.fixtures.command import environment
from tests.fixtures.patience import PATIENCE_S


def test_an_error_of_ours_is_its_message_and_another_names_its_type(capsys: pytest.CaptureFixture[str]) -> None:
    for error, shown in (
        (WorkflowError("no such archive\n  there are: a"), "error: no such archive\n  there are: a\n"),
        (KeyError("x"), "error: KeyError: 'x'\n  the traceback is shown with --debug\n"),
    ):
        with pytest.raises(typer.Exit) as ending, errors_in_one_block(debug=False):
            raise error
        assert ending.value.exit_code == 1 and capsys.readouterr().err == shown


def test_with_debug_the_error_comes_through() -> None:
    with pytest.raises(KeyError), errors_in_one_block(debug=True):
        raise KeyError("x")


def test_the_next_command_names_the_workspace_where_it_is_not_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    end(Finished(RunSettings(archive="calls"), None), "sdt train calls")
    end(Finished(RunSettings(archive="calls", workspace="/some where/else"), None), "sdt train calls")
    assert capsys.readouterr().out == (
        "\nNext: sdt train calls\n\nNext: sdt train calls --workspace '/some where/else'\n"
    )


def test_a_run_with_files_set_aside_names_the_next_command_and_ends_with_3(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ending:
        end(Finished(RunSettings(archive="calls"), None, exit_code=3), "sdt train calls")
    assert ending.value.exit_code == 3 and capsys.readouterr().out == "\nNext: sdt train calls\n"


# A process of its own: what other tests have loaded may handle signals too, and the test is to outlive it.
SIGNALLED = """
import os, signal, sys, threading
from flows.cli.commands import Command
from flows.cli.runner import CommonOptions, run
from flows.orchestration.flow import Flow
from tasks.config.stages import RunSettings
import typer

def body(_):
    os.kill(os.getpid(), int(sys.argv[2]))
    threading.Event().wait(60)

before = signal.getsignal(signal.SIGTERM)
command = Command(RunSettings, lambda: Flow("sdt-test", body), needs_archive=False)
try:
    run(command, CommonOptions(sys.argv[1], None, None), {"archive": "calls"})
except typer.Exit as ending:
    assert signal.getsignal(signal.SIGTERM) is before
    sys.exit(ending.exit_code)
"""


@pytest.mark.process
@pytest.mark.parametrize(("number", "by"), [(signal.SIGTERM, "SIGTERM"), (signal.SIGINT, "Ctrl-C")])
def test_a_signal_ends_a_run_in_order_and_says_how_to_go_on(
    workspace: Workspace, tmp_path: Path, number: signal.Signals, by: str
) -> None:
    words = [sys.executable, "-c", SIGNALLED, workspace.url, str(int(number))]
    done = subprocess.run(words, env=environment(tmp_path), capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 128 + number, done.stderr
    (record,) = read_history(workspace, 10).records
    assert (record.state, record.reason) == ("interrupted", by)
    assert f"interrupted by {by}: what is finished is kept" in done.stderr and "Traceback" not in done.stderr
