"""What commands import: help, queries and everything that finds its work done answer without Ray, torch and Prefect."""

import json
import subprocess
import sys
from pathlib import Path

from tests.fixtures.command import environment
from tests.fixtures.old_workspace import OldWorkspace

HEAVY = ("ray", "torch", "prefect", "transformers")

# The commands one after another in one process, so that each adds what it imports to those before.
RUN = """
import json, sys
from typer.testing import CliRunner
from flows.cli.app import app
from tasks.extractors import base

commands, packages, heavy = json.loads(sys.argv[1])
base.version = packages.__getitem__
seen = []
for command in commands:
    result = CliRunner().invoke(app, command)
    imported = [name for name in heavy if name in sys.modules]
    seen.append([command[0], result.exit_code, result.output, imported])
print(json.dumps(seen))
"""


def test_commands_with_nothing_to_make_import_nothing_heavy_and_write_nowhere_else(tmp_path: Path) -> None:
    old = OldWorkspace.unpack(tmp_path)
    training = old.notes["training"]
    seeded = json.dumps({**training, "optim": {**training["optim"], "seed": 1}})
    commands = [
        ["--help"],
        ["train", "--help"],
        ["query", "SELECT COUNT(*) AS n FROM labels"],
        ["status"],
        ["models"],
        ["verify", "calls"],
        ["ingest", "table", str(old.folder / "source"), "--archive=calls", "--set=shards=3"],
        ["extract", "calls"],
        ["train", "calls", f"--set=training={seeded}"],
        ["label", "calls"],
    ]
    place = f"--workspace={old.workspace.url}"
    commands = [command if "--help" in command else [*command, place] for command in commands]
    here, home = tmp_path / "here", tmp_path / "home"
    here.mkdir()
    home.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps([commands, old.notes["packages"], HEAVY])],
        cwd=here, env=environment(home), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for command, code, output, imported in json.loads(done.stdout.splitlines()[-1]):
        assert code == 0, f"{command}: {output}"
        assert imported == [], f"{command} imports {', '.join(imported)}"
    assert list(here.iterdir()) == [] and list(home.iterdir()) == []
