"""The surroundings of a command, in a process of its own: Prefect reads them once."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fixtures.command import environment, with_database

STARTED = """
from flows.runtime import prepare_environment, server_meanwhile
prepare_environment()
with server_meanwhile():
    pass
"""


def printed(code: str, home: Path, **more: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", STARTED + code], cwd=home, env=environment(home, **more), capture_output=True, text=True,
        timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.slow
def test_the_embedded_server_answers_once_all_is_imported_and_is_the_one_that_prefect_uses(tmp_path: Path) -> None:
    with_database(tmp_path / ".sdt" / "prefect")
    asked = """
from urllib.request import urlopen
from prefect.client.orchestration import get_client
from prefect.server.api.server import SubprocessASGIServer
server = SubprocessASGIServer()
print(server.running, urlopen(f"{server.api_url}/health").read().decode())
print(str(get_client(sync_client=True).api_url).rstrip("/") == server.api_url)
"""
    assert printed(asked, tmp_path).split() == ["True", "true", "True"]


@pytest.mark.parametrize(
    "surroundings",
    [{"PREFECT_API_URL": "http://127.0.0.1:9/api"}, {"PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false"}],
    ids=["a server is named", "none is allowed"],
)
def test_none_is_started_where_prefect_would_start_none(surroundings: dict[str, str], tmp_path: Path) -> None:
    loaded = "import sys; print('prefect.server.api.server' in sys.modules)"
    assert printed(loaded, tmp_path, **surroundings) == "False"


def test_a_command_that_is_interrupted_meanwhile_does_not_wait_for_the_server(tmp_path: Path) -> None:
    """As from a terminal, the server is interrupted as well; Prefect would ask it for two minutes whether it is up."""
    handled = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"  # a background job ignores it
    body = "print('meanwhile', flush=True); import time; time.sleep(100)"
    command = subprocess.Popen(
        [sys.executable, "-c", handled + STARTED.replace("pass", body)], cwd=tmp_path, env=environment(tmp_path),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        assert command.stdout is not None and command.stdout.readline() == "meanwhile\n"
        os.killpg(command.pid, signal.SIGINT)
        _, said = command.communicate(timeout=60)
        assert "KeyboardInterrupt" in said and command.returncode != 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(command.pid, signal.SIGKILL)
