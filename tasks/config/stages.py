"""Configuration of the stages: frozen, typed, checked before Ray starts. They are the flows' parameters."""

import datetime
import os
import shlex
from typing import Literal

from pydantic import Field, model_validator

from sdt_model.config import Frozen, Modality
from tasks.config.date_range import DateRange
from tasks.config.sources import KIND_HELP, SourceKind


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


DEFAULT_WORKSPACE = "./workspace"


def _workspace() -> str:
    """A run that is told all but this, as a deployment's may be, writes where its surroundings say."""
    return os.environ.get("SDT_WORKSPACE") or DEFAULT_WORKSPACE


class RunSettings(Frozen):
    """Where a stage reads, writes and runs."""

    workspace: str = Field(default_factory=_workspace)
    """Any fsspec URL: a folder, s3://bucket/path, gs://...; absent: `SDT_WORKSPACE`, or else ./workspace."""
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


Column = Literal["conversation_id", "turn", "speaker", "text", "audio", "video", "start_s", "end_s", "emotion", "split",
                 "occurred_at"]  # fmt: skip


class Source(Frozen):
    """Where an archive comes from."""

    kind: SourceKind = Field(description=KIND_HELP)
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

    def assignments(self) -> str:
        """Those that are named, as options of a command."""
        named = self.model_dump(exclude_defaults=True)
        return "".join(f" --set {shlex.quote(f'extractors.{field}={value}')}" for field, value in named.items())

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


class Leasing(Frozen):
    """How long a run that may have died keeps others from writing the same."""

    lease_s: float = Field(300.0, ge=1)
    """Seconds after which a run that gives no sign of life holds the labels, model or encoder that it makes no more."""


class Labelling(Leasing):
    """How labels are computed, whichever model makes them."""

    batch_utterances: int = Field(1024, ge=1)
    """Most utterances in one forward pass; a longer conversation goes alone."""


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
    def period(self) -> DateRange:
        """The days to label."""
        return DateRange(since=self.since, until=self.until)

    @property
    def reach(self) -> DateRange:
        """The days to label and those to look back to."""
        back = datetime.timedelta(days=self.look_back)
        return DateRange(since=self.since and self.since - back, until=self.until)


class VerifyConfig(RunSettings):
    """What to read again and compare with its manifests."""

    parts: tuple[Literal["utterances", "features", "labels"], ...] = ("utterances", "features", "labels")
    """What of the archive."""
