"""`sdt features` from the command line."""

import re

from tests.fixtures import archives as made
from tests.fixtures.command import CommandLine
from tests.fixtures.models import promoted_model


def test_features_are_listed_described_and_pruned_when_asked(sdt: CommandLine) -> None:
    workspace = sdt.workspace
    made.archive(workspace)
    promoted_model(workspace, modalities=("text",))
    listed = sdt("features", "list")
    assert listed.returncode == 0 and listed.stderr == "" and listed.stdout.count("| current ") == 3
    assert re.search(r"^\| made +\| text +\| minilm +\| [0-9a-f]{16} +\| +384 .*\| sdt-made +\|$", listed.stdout, re.M)
    described = sdt("features", "describe", "made")
    assert described.returncode == 0 and "## Features: archive made" in described.stdout
    assert re.search(r"\| visual +\| hog +\| no such file +\| +\d+ \|", described.stdout)
    before = workspace.files("")
    shown = sdt("features", "prune", "--unused")
    assert shown.returncode == 0 and "Nothing was removed. With --yes this frees" in shown.stdout
    assert workspace.files("") == before
    done = sdt("features", "prune", "--unused", "--yes")
    assert done.returncode == 0 and done.stdout.count("no model takes them") == 2
    assert {path.split("/")[2] for path in workspace.files("features")} == {"text"}
    assert "There is nothing to remove." in sdt("features", "prune", "--unused", "--yes").stdout


def test_an_error_is_one_block(sdt: CommandLine) -> None:
    done = sdt("features", "prune", "--extractor", "f00", "--yes")
    assert done.returncode == 1 and done.stderr.startswith("error: there are no features of extractor f00\n")
    assert "Traceback" not in done.stderr
    done = sdt("features", "describe", "x")
    assert done.returncode == 1 and done.stderr.startswith("error: archive 'x' is not in")
