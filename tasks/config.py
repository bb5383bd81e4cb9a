"""Configuration of the stages: frozen, typed, checked before Ray starts. They are the flows' parameters."""

import datetime
from typing import Literal, TypeVar

from pydantic import Field, NonNegativeInt, field_validator, model_validator

from sdt_model.config import Frozen, Modality, TrainingConfig, demo
from tasks.period import Period


class RayConfig(Frozen):
    """Where the work runs."""

    address: str | None = None
    """A cluster's address; absent: `RAY_ADDRESS`, or else an embedded Ray on this machine."""
    cpus: int | None = Field(None, ge=1)
    """Cores of the embedded Ray; absent: all."""


class Resources(Frozen):
    """What one worker of a stage asks Ray for."""

    cpus: float = Field(1.0, gt=0)
    """Cores of one worker; its libraries use as many threads."""
    gpus: float = Field(0.0, ge=0)
    """GPUs (or a share of one) of one worker."""
    memory_gb: float = Field(0.0, ge=0)
    """Memory of one worker: no more of them run than it has room for; 0: memory is not counted."""

    def asked(self) -> dict[str, float]:
        """In Ray's names and units, without what is not asked for."""
        amounts = {"CPU": self.cpus, "GPU": self.gpus, "memory": self.memory_gb * 1e9}
        return {name: amount for name, amount in amounts.items() if amount}


class RunSettings(Frozen):
    """Where a stage reads, writes and runs."""

    workspace: str = "./workspace"
    """Any fsspec URL: a folder, s3://bucket/path, gs://..."""
    archive: str
    """Name of the archive in the workspace."""
    ray: RayConfig = RayConfig()
    """Where the work runs."""


class StageConfig(RunSettings):
    """A stage that works shard by shard."""

    workers: int | None = Field(None, ge=1)
    """Workers of a stage; absent: as many as the cluster has room for."""
    resources: Resources | None = None
    """What one worker asks for; absent: one core, and for extract what the extractor asks for."""
    retries: int = Field(2, ge=0)
    """How often a failing shard is tried again before it is set aside."""


SourceKind = Literal["table", "meld", "iemocap", "whisperx", "srt", "vtt", "sdt-pickle"]
Column = Literal["conversation_id", "turn", "speaker", "text", "audio", "video", "start_s", "end_s", "emotion", "split",
                 "occurred_at"]  # fmt: skip


class Source(Frozen):
    """Where an archive comes from."""

    kind: SourceKind
    """What the source is: a `table` (CSV, JSONL, Parquet), the release of `meld` or `iemocap`, an `sdt-pickle`
    (published features of these two), or transcripts beside their recordings: `whisperx` (JSON), `srt`, `vtt`."""
    path: str
    """A file or folder, any fsspec URL."""
    columns: dict[Column, str] | None = None
    """Of a table: which of its columns a canonical one is, such as {"text": "utterance"}; the others keep their
    names."""
    media_root: str | None = None
    """Folder that audio and video URIs are relative to; absent: the source folder."""
    shards: int | None = Field(None, ge=1, le=100_000)
    """Number of utterance shards; absent: by the size of the source."""
    shard_mb: float = Field(8.0, gt=0)
    """Source megabytes a shard when `shards` is absent; there are never fewer than 4 shards."""

    @model_validator(mode="after")
    def _columns_are_a_tables(self) -> "Source":
        if self.columns and self.kind != "table":
            raise ValueError(f"columns are named for a table, not for {self.kind}")
        return self


class IngestConfig(Source, StageConfig):
    """From source files to utterance shards."""


Storage = Literal["float32", "float16"]
DEFAULT_EXTRACTORS: dict[Modality, str] = {"text": "minilm", "audio": "opensmile:eGeMAPSv02", "visual": "hog"}


class ExtractorNames(Frozen):
    """One extractor for each modality, by its registered name; `given`: the features that the archive came with."""

    text: str | None = None
    """Text encoder: `minilm`, `minilm-int8`, `hf:` and a folder or hub id, or `finetuned:` and the id of one in the
    workspace; absent: `given` if there are such, else `minilm`."""
    audio: str | None = None
    """Descriptor of sound: `opensmile:` and a feature set, `logmel`, or `hf:` and a folder or hub id; absent: `given`
    if there are such, else `opensmile:eGeMAPSv02`."""
    visual: str | None = None
    """Descriptor of pictures: `hog`, or `hf:` and a folder or hub id; absent: `given` if there are such, else `hog`."""
    storage: Storage = "float32"
    """How the numbers of a vector are kept: `float16` takes half the room and keeps three digits of each; features
    that are kept in another way are other features, to a model as well."""

    def named(self, modality: Modality) -> str | None:
        name: str | None = getattr(self, modality)
        return name

    def of(self, modality: Modality) -> str:
        """The one that makes features where none are given."""
        return self.named(modality) or DEFAULT_EXTRACTORS[modality]


class Watching(Frozen):
    """What becomes of media files that crash or hang their decoder."""

    hung_after_s: float = Field(600.0, gt=0)
    """Seconds after which a decoder that is still busy with one utterance counts as hung; its file is set aside."""
    retry_set_aside: bool = False
    """Try files again that an earlier run set aside; otherwise they stay so until their content changes."""


class ExtractConfig(Watching, StageConfig):
    """From utterance shards to feature shards."""

    extractors: ExtractorNames = ExtractorNames()
    """Which extractor makes each modality's features."""
    modalities: tuple[Modality, ...] = ("text", "audio", "visual")
    """Modalities to extract; one that the archive has nothing of is passed over."""


class Fitting(Frozen):
    """What a training run computes, wherever it runs."""

    training: TrainingConfig = TrainingConfig()
    """Model, objective and optimisation; recipes fill it."""
    dev_fraction: float = Field(0.1, gt=0, lt=0.5)
    """Share of conversations without a split that become dev."""
    test_fraction: float = Field(0.1, ge=0, lt=0.5)
    """Share of conversations without a split that become test."""


class Promoting(Frozen):
    """What becomes of a model once it is trained."""

    promote: Literal["if-not-worse", "always", "never"] = "if-not-worse"
    """Whether the new model goes into production: where it is not worse than the one there on the same dev
    conversations, by a paired bootstrap; in any case; or not, until `sdt promote`."""
    promote_margin: float = Field(0.02, ge=0)
    """Dev weighted F1 that the new model may lose and still count as not worse."""
    promote_confidence: float = Field(0.9, gt=0.5, lt=1)
    """Share of the bootstrap's draws in which it must not lose more than that."""


Fitted = TypeVar("Fitted", bound=Fitting)


def _shared_out(config: Fitted, workers: int) -> Fitted:
    if (size := config.training.optim.batch_conversations) < workers:
        raise ValueError(f"a batch of {size} conversations (batch_conversations) cannot be shared by {workers} workers")
    return config


class Training(Fitting, RunSettings):
    """On which features of annotated conversations training runs, and on how many workers."""

    extractors: ExtractorNames = ExtractorNames()
    """Whose features to train on."""
    modalities: tuple[Modality, ...] | None = None
    """Modalities the model takes; absent: all that have features."""
    workers: int = Field(1, ge=1)
    """Data-parallel training workers."""
    resources: Resources | None = None
    """What one training worker asks for; absent: its share of all cores."""
    retries: int = Field(2, ge=0)
    """How often training goes on from its last checkpoint after a worker dies."""

    @model_validator(mode="after")
    def _every_worker_has_work(self) -> "Training":
        return _shared_out(self, self.workers)


class FinetuneConfig(RunSettings):
    """From texts of annotated conversations to a text encoder."""

    encoder: str = "minilm"
    """What to start from: `minilm`, a local folder, or the hub id of an encoder with safetensors."""
    epochs: int = Field(4, ge=1)
    """Passes over the training split; the one with the best dev weighted F1 is kept."""
    learning_rate: float = Field(1e-4, gt=0)
    """Largest step size of the encoder; its new head takes ten times as large ones."""
    warmup: float = Field(0.1, gt=0, lt=1)
    """Share of the run in which the step size grows; after it, it falls to nothing."""
    weight_decay: float = Field(0.01, ge=0)
    """AdamW's."""
    dropout: float = Field(0.1, ge=0, lt=1)
    """Dropout before the head; within the encoder it is the encoder's own."""
    batch_utterances: int = Field(64, ge=1)
    """Utterances in a global batch, over all workers."""
    batch_tokens: int = Field(4096, ge=1)
    """Most tokens of a worker's pass, with padding; a larger share of the batch takes several passes."""
    max_tokens: int = Field(256, ge=8)
    """Most tokens that are read at once; the encoder must have as many positions."""
    context: int = Field(0, ge=0)
    """0: an utterance is read alone. Else as much of its conversation as `max_tokens` holds, with the speakers'
    names, where a window begins with up to this many turns of the one before."""
    folds: int = Field(1, ge=1, le=20)
    """More than 1: as many encoders, each without its share of the training conversations, which it then reads."""
    balance: float = Field(0.0, ge=0, le=1)
    """Weighs an emotion by its share of the training labels to the power of minus this; 0: all alike."""
    seed: int = Field(0, ge=0)
    """Seeds the head's weights, dropout and the order of batches."""
    dev_fraction: float = Field(0.1, gt=0, lt=0.5)
    """As of train."""
    test_fraction: float = Field(0.1, ge=0, lt=0.5)
    """As of train."""
    workers: int = Field(1, ge=1)
    """Data-parallel training workers."""
    resources: Resources | None = None
    """What one training worker asks for; absent: its share of all cores."""
    retries: int = Field(2, ge=0)
    """How often training goes on from its last checkpoint after a worker dies."""


class TrainConfig(Promoting, Training):
    """From features of annotated conversations to a bundle."""


class RepeatConfig(Training):
    """A training with several seeds, scored on the test split; none of the models goes into production."""

    seeds: tuple[NonNegativeInt, ...] = Field((0, 1, 2), min_length=1)
    """One model for each; `training.optim.seed` is passed over."""
    draws: int = Field(1000, ge=1)
    """Bootstrap draws, each of as many conversations as the test split has."""

    @field_validator("seeds")
    @classmethod
    def _each_seed_once(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds):
            raise ValueError(f"a seed is given twice: {list(seeds)}")
        return seeds

    def one(self, training: TrainingConfig, modalities: tuple[Modality, ...] | None, seed: int) -> TrainConfig:
        """A single training among the repeated ones."""
        fields = {name: getattr(self, name) for name in Training.model_fields} | {"promote": "never"}
        return TrainConfig.model_validate(fields | {"training": training.seeded(seed), "modalities": modalities})


class EvaluateConfig(RepeatConfig):
    """From features of annotated conversations to scores that say how far they could be off."""

    against: str | None = None
    """Model id, or `production`, to compare with on the same test conversations."""


class AblateConfig(RepeatConfig):
    """From features of annotated conversations to what each part of the model is worth."""

    variants: tuple[str, ...] | None = None
    """Names of the variants to train beside the full model, such as `without unimodal gates`; absent: all."""


class Labelling(Frozen):
    """How labels are computed, whichever model makes them."""

    batch_utterances: int = Field(1024, ge=1)
    """Most utterances in one forward pass; a longer conversation goes alone."""
    lease_s: float = Field(300.0, ge=1)
    """Seconds after which a run that gives no sign of life no longer holds the days that it labels."""


class LabelConfig(Labelling, StageConfig):
    """From features and a bundle to label shards."""

    model: str = "production"
    """Model id, or `production` for the one that models/production.json names."""
    since: datetime.date | None = None
    """First day to label, in UTC; absent, as `until`: every day, and what has no date."""
    until: datetime.date | None = None
    """Last day to label."""
    look_back: int = Field(0, ge=0)
    """Days before `since` that are labelled again where their conversations have changed, or never were labelled."""

    @model_validator(mode="after")
    def _from_first_to_last(self) -> "LabelConfig":
        if self.since and self.until and self.since > self.until:
            raise ValueError(f"since ({self.since}) is after until ({self.until})")
        if self.look_back and not self.since:
            raise ValueError("look_back needs since: there is nothing before the first of all days")
        return self

    @property
    def period(self) -> Period:
        """The days to label."""
        return Period(since=self.since, until=self.until)

    @property
    def reach(self) -> Period:
        """The days to label and those to look back to."""
        back = datetime.timedelta(days=self.look_back)
        return Period(since=self.since and self.since - back, until=self.until)


class VerifyConfig(RunSettings):
    """What to read again and compare with its manifests."""

    parts: tuple[Literal["utterances", "features", "labels"], ...] = ("utterances", "features", "labels")
    """What of the archive."""


Config = TypeVar("Config", bound=RunSettings)


class Several(StageConfig):
    """What several stages are told at once."""

    def stage(self, kind: type[Config], /, **more: object) -> Config:
        """The config of one stage: the fields that it has in common with this one, and ``more``."""
        common = {name: getattr(self, name) for name in kind.model_fields if name in type(self).model_fields}
        return kind.model_validate(common | more)


class NightlyConfig(Watching, Labelling, Several):
    """One day's labels: its sources, if any are named, brought in, the model's features made, the day labelled."""

    model: str = "production"
    """Model id, or `production` for the one that models/production.json names."""
    date: datetime.date | None = None
    """The day to label, in UTC; absent: the day for which the run was scheduled, however late it runs."""
    look_back: int = Field(3, ge=0)
    """Days before it that are labelled again where their conversations have changed, or never were labelled."""
    source: Source | None = None
    """Source files to bring in first; absent: the archive is kept up to date by someone else."""


class PipelineConfig(Labelling, Promoting, Fitting, ExtractConfig, IngestConfig, Several):
    """All four stages in turn, over one archive; labels come from the model that the run trains."""

    train_workers: int = Field(1, ge=1)
    """As `workers` of train."""
    train_resources: Resources | None = None
    """As `resources` of train."""

    @model_validator(mode="after")
    def _every_worker_has_work(self) -> "PipelineConfig":
        return _shared_out(self, self.train_workers)


class DemoConfig(PipelineConfig):
    """The pipeline over a synthetic archive, which is made first."""

    archive: str = "synthetic-demo"
    """Name of the archive in the workspace."""
    kind: Literal["table"] = "table"
    """The synthetic archive is a table."""
    path: str = "./synthetic-demo"
    """Local folder that the synthetic archive is written into."""
    training: TrainingConfig = demo()
    """Model, objective and optimisation."""
    conversations: int = Field(120, ge=3)
    """Conversations to make up."""
    seed: int = Field(7, ge=0)
    """Seeds the making of the archive; the training has its own."""
