"""The command line and the Prefect server of the tests of flows."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.fixtures.command import CommandLine
from tests.fixtures.services.prefect_server import Server, register


@pytest.fixture
def sdt(tmp_path: Path) -> CommandLine:
    """`sdt`, in this process, in an empty folder and with an empty home."""
    folder = tmp_path / "here"
    folder.mkdir()
    return CommandLine(folder)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the work pool, the deployments, the automation and a worker, as deploy/ says to make them."""
    server = Server(tmp_path_factory.mktemp("prefect"))
    with ExitStack() as stack:
        stack.enter_context(server.running())
        register(server)
        stack.enter_context(server.background("worker", "worker", "start", "--pool", "sdt"))
        yield server
