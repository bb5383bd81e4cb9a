"""The whole way, with the real extractors, over a small synthetic archive."""

import polars as pl
import pytest

from tasks.query import scan_labels, scan_utterances
from tasks.storage.workspace import Workspace
from tests.fixtures.command import CommandLine
from tests.fixtures.command import sdt as sdt_process


def contents(workspace: Workspace) -> dict[str, bytes]:
    """All but the records of runs: each run has its own."""
    return {path: workspace.read_bytes(path) for path in workspace.files("") if not path.startswith("runs/")}


@pytest.mark.process
def test_the_demo_from_nothing_to_labels_and_again(sdt: CommandLine) -> None:
    here, workspace = sdt.folder, sdt.workspace
    few = ["--set", "conversations=12", "--set", "training.optim.epochs=2"]
    first = sdt_process("demo", *few, "--set", "ray.cpus=2", cwd=here)
    assert first.returncode == 0, first.stderr
    labels, utterances = scan_labels(workspace).collect(), scan_utterances(workspace).collect()
    keys = ["archive", "conversation_id", "turn"]
    assert labels.select(keys).sort(keys).equals(utterances.select(keys).sort(keys)) and len(labels) > 50
    assert labels["date"].n_unique() == 3 and (labels["status"] == "ok").mean() > 0.8
    assert labels.filter(pl.col("status") != "failed")["emotion"].null_count() == 0
    for said in (
        "SYNTHETIC",
        "| dev ",
        "| test ",
        workspace.uri("labels/synthetic-demo"),
        "annotated",
        "Next: sdt query",
    ):
        assert said in first.stdout
    assert {path.name for path in here.iterdir()} == {"workspace", "synthetic-demo"}

    before = contents(workspace)
    again = sdt("demo", *few, "--set", "ray.address=local")  # finds what Ray's workers made
    assert again.returncode == 0, again.stderr
    assert contents(workspace) == before
    for stage in ("ingest", "extract-text", "extract-audio", "extract-visual", "train"):
        assert f"{stage}: nothing to do" in again.stderr
