"""The surroundings of a command, in a process of its own: Prefect reads them once."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.flows.command import environment, with_database

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
url = str(get_client(sync_client=True).api_url)
print(urlopen(f"{url.rstrip('/')}/health").read().decode())
"""
    assert printed(asked, tmp_path) == "true"


def test_where_a_server_is_named_none_is_started(tmp_path: Path) -> None:
    loaded = "import sys; print('prefect.server.api.server' in sys.modules)"
    assert printed(loaded, tmp_path, PREFECT_API_URL="http://127.0.0.1:9/api") == "False"
