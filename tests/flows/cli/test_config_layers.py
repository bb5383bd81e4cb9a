"""Layers add up to one configuration, and what is wrong is named."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.cli.config_layers import (
    assignments_layer,
    build_config,
    describe_fields,
    file_layer,
    options_layer,
    recipe_layer,
)
from sdt_model.config import OptimConfig
from sdt_model.recipes import demo, iemocap
from tasks.config.flows import DemoConfig, NightlyConfig, PipelineConfig
from tasks.config.stages import ExtractConfig, IngestConfig, LabelConfig
from tasks.config.training import AblateConfig, EvaluateConfig, TrainConfig
from tasks.errors import WorkflowError

ARCHIVE = {"archive": "a"}


def test_the_later_layer_wins_field_by_field(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text("workers = 2\n[training.optim]\nepochs = 20\npatience = 20\nseed = 20\n[ray]\ncpus = 4\n")
    config = build_config(
        TrainConfig,
        recipe_layer("iemocap"),
        file_layer(file),
        assignments_layer(["training.optim.patience=30", "training.optim.seed=30"]),
        options_layer({"archive": "a", "training.optim.seed": 40, "workspace": None}),
    )
    optim = config.training.optim
    assert (optim.learning_rate, optim.epochs, optim.patience, optim.seed) == (1e-4, 20, 30, 40)
    assert config.training.objective == iemocap().objective and config.training.model == iemocap().model
    assert (config.workers, config.ray.cpus, config.workspace) == (2, 4, "./workspace")


@pytest.mark.parametrize(
    ("assignment", "found"),
    [
        ("archive=2026", lambda c: c.archive == "2026"),
        ("archive=null-and-void", lambda c: c.archive == "null-and-void"),
        ("training.optim.compile=true", lambda c: c.training.optim.compile is True),
        ("promote=never", lambda c: c.promote == "never"),
        ("training.optim.learning_rate=1e-3", lambda c: c.training.optim.learning_rate == 0.001),
        ('modalities=["text", "audio"]', lambda c: c.modalities == ("text", "audio")),
        ("modalities=null", lambda c: c.modalities is None),
        ("resources.cpus=2", lambda c: c.resources.cpus == 2),
        ('resources={"gpus": 0.5}', lambda c: c.resources.gpus == 0.5),
        ('training.objective.class_weights={"joy": 2}', lambda c: c.training.objective.class_weights == {"joy": 2}),
        ("workspace=s3://bucket/a=b", lambda c: c.workspace == "s3://bucket/a=b"),
    ],
)
def test_values_are_read_as_the_field_means_them(assignment: str, found: object) -> None:
    assert found(build_config(TrainConfig, ARCHIVE, recipe_layer("iemocap"), assignments_layer([assignment])))


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        ("nope=1", r"nope: there is no such field\n +valid here: workspace, archive, ray, .*training"),
        (
            "training.optim.sed=1",
            r"training\.optim\.sed: there is no such field\n +valid here: optimizer, learning_rate, .*seed",
        ),
        ("resources.x=1", r"resources\.x: there is no such field\n +valid here: cpus, gpus"),
        ("workers=many", r"workers: Input should be a valid integer.*given 'many'"),
        ("training.model.heads=7", r"training\.model: hidden \(1024\) must be even and a multiple of heads \(7\)$"),
        ('modalities=["smell"]', r"modalities\.0: Input should be 'text', 'audio' or 'visual', given 'smell'"),
        ("workers", "write it as field=value"),
        ("=3", "write it as field=value"),
    ],
)
def test_what_is_wrong_is_named(assignment: str, said: str) -> None:
    with pytest.raises(WorkflowError, match=said):
        build_config(TrainConfig, ARCHIVE, assignments_layer([assignment]))


def test_a_field_is_not_set_as_a_whole_and_in_part() -> None:
    with pytest.raises(WorkflowError, match=r"ray\.cpus=1: ray was given a value as a whole"):
        assignments_layer(["ray=3", "ray.cpus=1"])


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("workers: 2")
    with pytest.raises(WorkflowError, match=r"c\.toml is not TOML: .*line 1"):
        file_layer(tmp_path / "c.toml")
    with pytest.raises(WorkflowError, match="cannot be read"):
        file_layer(tmp_path)


@pytest.mark.parametrize(
    "kind",
    [
        IngestConfig,
        ExtractConfig,
        TrainConfig,
        EvaluateConfig,
        AblateConfig,
        LabelConfig,
        NightlyConfig,
        PipelineConfig,
        DemoConfig,
    ],
)
def test_every_field_that_is_described_can_be_set_to_its_default(kind: type) -> None:
    required = {"archive": "a", "path": "p", "kind": "table"}
    needed = {name: required[name] for name, field in kind.model_fields.items() if field.is_required()}
    written = [f"{path}={default}" for path, default, _ in describe_fields(kind) if default]
    assert build_config(kind, assignments_layer(written), needed) == kind(**needed)
    assert all(meaning for _, _, meaning in describe_fields(kind))


COUNT = st.integers(1, 10**6)
RATE = st.floats(0, 1, exclude_min=True)


@given(st.builds(OptimConfig, learning_rate=RATE, weight_decay=RATE, epochs=COUNT, patience=COUNT, seed=COUNT))
def test_any_optimiser_settings_survive_being_written_as_assignments(optim: OptimConfig) -> None:
    written = [f"training.optim.{path}={value}" for path, value, _ in describe_fields(optim)]
    assert build_config(TrainConfig, ARCHIVE, assignments_layer(written)).training.optim == optim


def test_the_demo_keeps_its_small_model_when_a_part_of_it_is_set() -> None:
    config = build_config(DemoConfig, recipe_layer("demo"), assignments_layer(["training.optim.epochs=2"]))
    assert config.training.model == demo().model and config.training.optim.epochs == 2


def test_a_tables_columns_are_named_as_a_whole_or_one_by_one() -> None:
    table = {"archive": "a", "kind": "table", "path": "p"}
    for written in (['columns={"text": "utterance"}'], ["columns.text=utterance"]):
        assert build_config(IngestConfig, table, assignments_layer(written)).columns == {"text": "utterance"}
    with pytest.raises(WorkflowError, match=r"columns\.words\.\[key\]: Input should be 'conversation_id', 'turn'"):
        build_config(IngestConfig, table, assignments_layer(["columns.words=utterance"]))
    with pytest.raises(WorkflowError, match="columns is for a table, not for meld"):
        build_config(PipelineConfig, table | {"kind": "meld"}, assignments_layer(["columns.text=utterance"]))


def test_a_workspace_that_is_not_given_is_the_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDT_WORKSPACE", "s3://bucket/sdt")
    assert build_config(LabelConfig, {"archive": "calls"}).workspace == "s3://bucket/sdt"
    assert build_config(LabelConfig, {"archive": "calls", "workspace": "here"}).workspace == "here"
    monkeypatch.delenv("SDT_WORKSPACE")
    assert build_config(LabelConfig, {"archive": "calls"}).workspace == "./workspace"
