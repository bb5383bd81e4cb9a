"""The whole way, with the real extractors, over a small synthetic archive."""

from pathlib import Path

import polars as pl
import pytest

from tasks.config.flows import DemoConfig, PipelineConfig
from tasks.config.stages import ExtractConfig, IngestConfig, LabelConfig
from tasks.config.training import TrainConfig
from tasks.query import scan_labels, scan_utterances
from tasks.storage.workspace import Workspace
from tests.fixtures.command import sdt


def test_each_stage_gets_the_pipelines_fields() -> None:
    config = PipelineConfig(
        archive="a", kind="table", path="p", workspace="w", workers=3, train_workers=2, retries=5,
        batch_utterances=9, modalities=("text",), dev_fraction=0.2,
    )  # fmt: skip
    ingest, extract = config.stage(IngestConfig), config.stage(ExtractConfig)
    train = config.stage(TrainConfig, workers=config.train_workers, resources=config.train_resources)
    label = config.stage(LabelConfig, model="m")
    assert {stage.workspace for stage in (ingest, extract, train, label)} == {"w"}
    assert (ingest.path, ingest.workers, extract.modalities, extract.retries) == ("p", 3, ("text",), 5)
    assert (train.workers, train.resources, train.dev_fraction) == (2, None, 0.2)
    assert (label.model, label.batch_utterances, label.workers) == ("m", 9, 3)


def test_the_demo_is_a_pipeline_over_a_table() -> None:
    config = DemoConfig().stage(PipelineConfig, path="elsewhere/utterances.jsonl")
    assert (config.kind, config.archive, config.path) == ("table", "synthetic-demo", "elsewhere/utterances.jsonl")
    assert config.training == DemoConfig().training


@pytest.mark.slow
def test_the_demo_from_nothing_to_labels_and_again(tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.mkdir()
    few = ["--set", "conversations=12", "--set", "training.optim.epochs=2", "--set", "ray.cpus=2"]
    first = sdt("demo", *few, cwd=here, timeout=500)
    assert first.returncode == 0, first.stderr
    workspace = Workspace(str(here / "workspace"))
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
    assert {path.name for path in here.iterdir()} == {"workspace", ".sdt", "synthetic-demo"}

    before = {path: workspace.read_bytes(path) for path in workspace.files("")}
    again = sdt("demo", *few, cwd=here, timeout=500)
    assert again.returncode == 0 and {path: workspace.read_bytes(path) for path in workspace.files("")} == before
    for stage in ("ingest", "extract-text", "extract-audio", "extract-visual", "train"):
        assert f"{stage}: nothing to do" in again.stderr
