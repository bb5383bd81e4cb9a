"""The machines that the cluster's services run on."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fixtures.cluster.namespaces import OUTSIDE, network, why_not
from tests.fixtures.command import environment
from tests.fixtures.patience import PATIENCE_S

pytestmark = pytest.mark.cluster

CHECKOUT = Path(__file__).parents[2]
LISTEN = "import socket; s = socket.create_server(('two', 99)); print('up', flush=True); [s.accept() for _ in 'ab']"
CALL = "import socket; socket.create_connection(('two', 99), 5)"
BEGIN = """
import subprocess, sys
from pathlib import Path
from tests.fixtures.cluster.namespaces import network

with network(Path(sys.argv[1]), ["one"]) as machines:
    subprocess.Popen([*machines["one"].inside, "sh", "-c", "echo > began; exec sleep 4321"], start_new_session=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def possible() -> None:
    if reason := why_not():
        pytest.skip(reason)


def test_each_has_a_name_processes_and_files_of_its_own_and_reaches_the_others_by_name(tmp_path: Path) -> None:
    with network(tmp_path, ["one", "two"]) as machines:
        one, two = machines.values()
        assert (one.run("hostname"), two.run("hostname")) == ("one\n", "two\n")
        one.run("sh", "-c", "echo of one > /srv/note")
        assert two.run("ls", "/srv") == "" and (tmp_path / "one" / "note").read_text() == "of one\n"
        assert len(one.run("sh", "-c", "ls -d /proc/[0-9]*").split()) < 6
        listen = [*two.inside, sys.executable, "-c", LISTEN]
        with subprocess.Popen(listen, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout and server.stdout.readline() == "up\n"
            one.run(sys.executable, "-c", CALL)
            socket.create_connection((two.address, 99), 5).close()
        assert server.returncode == 0


def test_one_who_is_killed_leaves_nothing_behind(tmp_path: Path) -> None:
    command = [sys.executable, "-c", BEGIN, str(tmp_path)]
    surroundings = environment(tmp_path, PYTHONPATH=str(CHECKOUT))
    with subprocess.Popen(command, env=surroundings, stdin=subprocess.PIPE) as process:
        wait_until(lambda: (tmp_path / "one" / "began").exists() and bool(sleepers()))
        process.kill()
    wait_until(lambda: not sleepers() and not Path("/sys/class/net", OUTSIDE).exists())


def sleepers() -> list[Path]:
    return [path for path in Path("/proc").glob("[0-9]*/cmdline") if content(path) == "sleep\0004321\0"]


def content(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # the process has ended
        return ""


def wait_until(true: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < until
        time.sleep(0.05)
