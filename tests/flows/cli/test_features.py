"""`sdt features` in a process of its own."""

import re
from pathlib import Path

import pytest

from tasks.storage.workspace import Workspace
from tests.fixtures import archives as made
from tests.fixtures.command import sdt
from tests.fixtures.models import promoted_model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "here").mkdir()
    return tmp_path / "here"


def test_features_are_listed_described_and_pruned_when_asked(folder: Path) -> None:
    workspace = Workspace(str(folder / "workspace"))
    made.archive(workspace)
    promoted_model(workspace, modalities=("text",))
    listed = sdt("features", "list", cwd=folder)
    assert listed.returncode == 0 and listed.stderr == "" and listed.stdout.count("| current ") == 3
    assert re.search(r"^\| made +\| text +\| minilm +\| [0-9a-f]{16} +\| +384 .*\| sdt-made +\|$", listed.stdout, re.M)
    described = sdt("features", "describe", "made", cwd=folder)
    assert described.returncode == 0 and "## Features: archive made" in described.stdout
    assert re.search(r"\| visual +\| hog +\| no such file +\| +\d+ \|", described.stdout)
    before = workspace.files("")
    shown = sdt("features", "prune", "--unused", cwd=folder)
    assert shown.returncode == 0 and "Nothing was removed. With --yes this frees" in shown.stdout
    assert workspace.files("") == before
    done = sdt("features", "prune", "--unused", "--yes", cwd=folder)
    assert done.returncode == 0 and done.stdout.count("no model takes them") == 2
    assert {path.split("/")[2] for path in workspace.files("features")} == {"text"}
    assert "There is nothing to remove." in sdt("features", "prune", "--unused", "--yes", cwd=folder).stdout


def test_an_error_is_one_block(folder: Path) -> None:
    done = sdt("features", "prune", "--extractor", "f00", "--yes", cwd=folder)
    assert done.returncode == 1 and done.stderr.startswith("error: there are no features of extractor f00\n")
    assert "Traceback" not in done.stderr
    done = sdt("features", "describe", "x", cwd=folder)
    assert done.returncode == 1 and done.stderr.startswith("error: archive 'x' is not in")
