"""What each stage of a flow gets: the flow's own settings, and nothing by default that the flow was not asked about."""

import datetime

import pytest

from tasks.config.flows import DemoConfig, NightlyConfig, PipelineConfig
from tasks.config.stages import ExtractorNames, LabelConfig, RayConfig, Resources, Source, StageConfig
from tasks.config.training import TrainConfig

COMMON = {
    "archive": "a", "workspace": "w", "ray": {"cpus": 2}, "workers": 3, "resources": {"cpus": 2}, "retries": 5,
    "check": "content",
}  # fmt: skip


def test_each_stage_of_a_pipeline_gets_the_pipelines_settings() -> None:
    config = PipelineConfig.model_validate({
        **COMMON, "kind": "table", "path": "p", "columns": {"text": "t"}, "media_root": "m", "shards": 9, "shard_mb": 2,
        "extractors": {"text": "minilm-int8"}, "modalities": ["text"], "hung_after_s": 7, "retry_set_aside": True,
        "training": "demo", "dev_fraction": 0.2, "test_fraction": 0.3, "promote": "never", "promote_margin": 0.1,
        "promote_confidence": 0.8, "train_workers": 2, "train_resources": {"gpus": 1}, "lease_s": 11,
        "batch_utterances": 13, "file_pattern": "{split}.csv", "records": "*", "null_values": ["x"],
        "time_format": "epoch_s", "number_turns": True, "most_rejected": 0.5,
    })  # fmt: skip
    given = {name: getattr(config, name) for name in PipelineConfig.model_fields}
    assert not {name for name, field in PipelineConfig.model_fields.items() if given[name] == field.default}
    training = {"modalities": ("audio",), "workers": 2, "resources": Resources(gpus=1)}
    for stage, own in (
        (config.ingest(), {}),
        (config.extract(), {}),
        (config.train(("audio",)), training),
        (config.label("m"), {"model": "m", "since": None, "until": None, "look_back": 0}),
    ):
        for name in type(stage).model_fields:
            assert getattr(stage, name) == (own | {k: v for k, v in given.items() if k not in own})[name], name


def test_each_stage_of_a_night_gets_the_nights_settings() -> None:
    source = {"kind": "table", "path": "p", "columns": {"text": "t"}}
    night = {**COMMON, "hung_after_s": 7, "lease_s": 11, "batch_utterances": 13, "look_back": 4, "source": source}
    config, day = NightlyConfig.model_validate(night), datetime.date(2026, 3, 1)
    assert config.source is not None
    ingest = config.ingest(config.source)
    assert Source.model_validate(ingest.model_dump(include=set(Source.model_fields))) == config.source
    extract = config.extract(ExtractorNames(text="minilm"), ("text",))
    label = config.label("m", day)
    for stage in (ingest, extract, label):
        assert (stage.archive, stage.workspace, stage.ray, stage.workers) == ("a", "w", RayConfig(cpus=2), 3)
        assert (stage.resources, stage.retries, stage.check) == (Resources(cpus=2), 5, "content")
    assert (extract.extractors.text, extract.modalities, extract.hung_after_s) == ("minilm", ("text",), 7)
    assert (label.since, label.until, label.look_back) == (day, day, 4)
    assert (label.model, label.lease_s, label.batch_utterances) == ("m", 11, 13)


def test_the_demo_is_a_pipeline_over_a_table() -> None:
    demo = DemoConfig(workers=3)
    config = demo.pipeline("elsewhere/utterances.jsonl")
    assert (config.kind, config.archive, config.path) == ("table", "synthetic-demo", "elsewhere/utterances.jsonl")
    assert config.training == demo.training and config.workers == 3


class SmoothedLabels(LabelConfig):
    """Labelling with a setting that no flow knows of."""

    smoothing: float = 0.5


def test_a_setting_that_a_flow_does_not_pass_on_is_an_error_and_not_its_default() -> None:
    config = PipelineConfig(archive="a", kind="table", path="p")
    own = {"model": "m", "since": None, "until": None, "look_back": 0}
    with pytest.raises(TypeError, match="PipelineConfig does not say what SmoothedLabels takes as smoothing"):
        config._stage(SmoothedLabels, **own)
    assert config._stage(SmoothedLabels, **own, smoothing=0.1).smoothing == 0.1


def test_a_setting_of_the_same_name_but_of_another_class_is_not_copied() -> None:
    assert TrainConfig.model_fields["workers"] is not StageConfig.model_fields["workers"]
    config = PipelineConfig(archive="a", kind="table", path="p", workers=8)
    with pytest.raises(
        TypeError, match="does not say what TrainConfig takes as extractors, modalities, resources, ret"
    ):
        config._stage(TrainConfig)
