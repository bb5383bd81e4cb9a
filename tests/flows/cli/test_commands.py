"""Every command has a flow that takes its configuration, and every flow of a file its command."""

import inspect
from pathlib import Path
from typing import Any

import pytest

import flows
from flows.cli import commands
from flows.cli.commands import Command
from flows.orchestration import Flow

COMMANDS: dict[str, Command[Any, Any]] = {
    name: value for name, value in vars(commands).items() if isinstance(value, Command)
}


@pytest.mark.parametrize("name", COMMANDS)
def test_its_flow_takes_its_configuration(name: str) -> None:
    flow = COMMANDS[name].flow()
    assert isinstance(flow, Flow) and flow.name == f"sdt-{name.lower().replace('_', '-')}"
    (config,) = inspect.signature(flow.body).parameters.values()
    assert config.annotation is COMMANDS[name].config


def test_none_is_forgotten() -> None:
    files = Path(flows.__file__).parent.glob("*.py")
    stems = {file.stem for file in files if "\n@flow(" in file.read_text()} - {"nightly"}  # which is only scheduled
    assert stems == {name.lower() for name in COMMANDS}
