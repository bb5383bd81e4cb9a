"""The states of a workspace between its commands, made once."""

import pytest

from tests.fixtures.chaos_commands import Commands


@pytest.fixture(scope="session")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Commands:
    commands = Commands(tmp_path_factory.mktemp("chaos"))
    commands.prepare()
    return commands
