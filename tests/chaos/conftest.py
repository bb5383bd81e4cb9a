"""The states of a workspace between its commands, made once."""

import pytest

from tasks.extractors import registry
from tests.fixtures.chaos.commands import Commands


@pytest.fixture(scope="session")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Commands:
    commands = Commands(tmp_path_factory.mktemp("chaos"))
    with pytest.MonkeyPatch.context() as patch:  # what is registered is forgotten, as after a test
        patch.setattr(registry, "EXTRACTORS", dict(registry.EXTRACTORS))
        commands.prepare()
    return commands
