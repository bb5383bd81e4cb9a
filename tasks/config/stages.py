"""Configuration of the stages: frozen, typed, checked before Ray starts. They are the flows' parameters."""

import datetime
import os
import shlex
from typing import Literal
from urllib.parse import quote

from pydantic import Field, PositiveInt, model_validator

from sdt_model.config import Frozen, Modality
from tasks.config.date_range import DateRange
from tasks.config.sources import KIND_HELP, SourceKind
from tasks.config.tables import TableSettings


class RayConfig(Frozen):
    """Where the work runs."""

    address: str | None = None
    """Address of a Ray cluster; null: that of `RAY_ADDRESS`, or else Ray is started on this machine. `local`: no Ray,
    all work is done in the command's own process, one shard after another, for small archives and debuggers. A media
    file that crashes or hangs its decoder then ends the command, and the number of `workers` has no effect."""
    cpus: int | None = Field(None, ge=1)
    """Cores that a Ray started on this machine may use, or a training without Ray; null: all."""

    @property
    def in_process(self) -> bool:
        """Whether all work is done in the command's own process, without Ray."""
        return self.address == "local"


class Resources(Frozen):
    """What one worker of a stage asks Ray for."""

    cpus: float = Field(1.0, gt=0)
    """CPU cores of one worker; its libraries use as many threads."""
    gpus: float = Field(0.0, ge=0)
    """GPUs of one worker; 0.5 lets two workers share one."""
    memory_gb: float = Field(0.0, ge=0)
    """Gigabytes of memory of one worker; fewer workers run where memory is short. 0: memory is not counted."""

    def asked(self) -> dict[str, float]:
        """In Ray's names and units, without what is not asked for."""
        amounts = {"CPU": self.cpus, "GPU": self.gpus, "memory": self.memory_gb * 1e9}
        return {name: amount for name, amount in amounts.items() if amount}


DEFAULT_WORKSPACE = "./workspace"


def _workspace() -> str:
    """The default workspace: that of the environment, so that a deployment need not name one."""
    return os.environ.get("SDT_WORKSPACE") or DEFAULT_WORKSPACE


class RunSettings(Frozen):
    """Where a stage reads, writes and runs."""

    workspace: str = Field(default_factory=_workspace)
    """Where everything is read and written, any fsspec URL: a folder, s3://bucket/path, gs://...; left out:
    `SDT_WORKSPACE`, or else ./workspace."""
    archive: str
    """Name of the archive in the workspace."""
    ray: RayConfig = RayConfig()
    """Where the work runs."""


class Leasing(Frozen):
    """How long a run that may have died keeps others from writing the same."""

    lease_s: float = Field(300.0, ge=1, le=86_400)
    """Seconds without a sign of life after which a run counts as dead, and another may write the same archive,
    features, labels, model, encoder or evaluation."""


Check = Literal["size", "content"]


class StageConfig(Leasing, RunSettings):
    """A stage that works shard by shard."""

    check: Check = "size"
    """What is looked at before files count as made: that they exist and have their `size`, or also their `content`, for
    which all of them are read. What is damaged is made again."""

    workers: int | None = Field(None, ge=1)
    """Most workers that a stage runs at the same time; null: as many as the cluster has room for."""
    resources: Resources | None = None
    """CPUs, GPUs and memory of one worker; null: one core, and what the extractor asks for in extract."""
    retries: int = Field(2, ge=0)
    """How often a failing shard is tried again before the run goes on without it."""


class Source(TableSettings):
    """Where an archive comes from."""

    kind: SourceKind = Field(description=KIND_HELP)
    path: str
    """The source's file or folder, any fsspec URL."""
    media_root: str | None = None
    """Folder that audio and video paths of the source are relative to; null: the source's folder."""
    shards: int | None = Field(None, ge=1, le=100_000)
    """Number of shards that the archive is divided into; null: by the size of the source, see `shard_mb`."""
    shard_mb: float = Field(8.0, gt=0)
    """Megabytes of source files in a shard where `shards` is null; there are never fewer than 4 shards."""
    most_rejected: float = Field(0.05, ge=0, le=1)
    """Largest share of rows that may be rejected, or whose time cannot be read, before the run ends in a state and an
    exit code of its own (4)."""

    @model_validator(mode="after")
    def _table_settings_are_a_tables(self) -> "Source":
        named = [name for name in TableSettings.model_fields if getattr(self, name) not in (None, False)]
        if named and self.kind != "table":
            raise ValueError(f"{named[0]} is for a table, not for {self.kind}")
        return self


class IngestConfig(Source, StageConfig):
    """From source files to utterance shards."""


Storage = Literal["float32", "float16", "bfloat16"]
DEFAULT_EXTRACTORS: dict[Modality, str] = {"text": "minilm", "audio": "opensmile:eGeMAPSv02", "visual": "hog"}


class ExtractorNames(Frozen):
    """One extractor for each modality, by its registered name; `given`: the features that the archive came with."""

    text: str | None = None
    """Text encoder: `minilm`, `minilm-int8`, `hf:` and a folder or hub id, or `finetuned:` and the id of one in the
    workspace; null: `given` if the archive came with text features, else `minilm`."""
    audio: str | None = None
    """Descriptor of sound: `opensmile:` and a feature set, `logmel`, or `hf:` and a folder or hub id; null: `given` if
    the archive came with audio features, else `opensmile:eGeMAPSv02`."""
    visual: str | None = None
    """Descriptor of pictures: `hog`, or `hf:` and a folder or hub id; null: `given` if the archive came with visual
    features, else `hog`."""
    storage: Storage = "float32"
    """How features are stored: `float16` takes half the space and keeps three digits of each number, `bfloat16` two, of
    numbers of any size. A model reads only features that are stored as those it was trained on."""

    channels: Literal["mean"] | PositiveInt | dict[str, PositiveInt] = "mean"
    """Channel of a recording that is described: `mean` of all, a number, 1 for the first, or one for each speaker, such
    as {"agent": 1, "customer": 2}, with the mean for others. Channels that cancel each other in the mean are never
    silence: the loudest is described."""

    def named(self, modality: Modality) -> str | None:
        """The extractor that the configuration names for a modality."""
        name: str | None = getattr(self, modality)
        return name

    def assignments(self) -> str:
        """The named extractors as options of a command, such as ` --set extractors.text=minilm`."""
        named = self.model_dump(exclude_defaults=True)
        return "".join(f" --set {shlex.quote(f'extractors.{field}={value}')}" for field, value in named.items())

    def of(self, modality: Modality) -> str:
        """The extractor that makes a modality's features where the archive came with none."""
        name = self.named(modality) or DEFAULT_EXTRACTORS[modality]
        if modality != "audio" or self.channels == "mean":
            return name
        by_speaker = self.channels if isinstance(self.channels, dict) else {}
        written = ",".join(f"{quote(speaker, safe='')}:{number}" for speaker, number in sorted(by_speaker.items()))
        return f"{name}{'&' if '?' in name else '?'}channels={written or self.channels}"


class Watching(Frozen):
    """How media files that crash or hang their decoder are dealt with."""

    hung_after_s: float = Field(600.0, gt=0)
    """Seconds that a decoder may spend on one utterance; after them it counts as hung, and its file is set aside."""
    retry_set_aside: bool = False
    """Whether files that an earlier run set aside are tried again; otherwise they are skipped until their content
    changes."""


class ExtractConfig(Watching, StageConfig):
    """From utterance shards to feature shards."""

    extractors: ExtractorNames = ExtractorNames()
    """Which extractor makes each modality's features."""
    modalities: tuple[Modality, ...] = ("text", "audio", "visual")
    """Modalities to make features of; one that the archive has nothing of is skipped."""


class Labelling(Leasing):
    """How labels are computed, whichever model makes them."""

    batch_utterances: int = Field(1024, ge=1)
    """Most utterances that are scored at once: more take more memory. A longer conversation is scored alone."""


class LabelConfig(Labelling, StageConfig):
    """From features and a bundle to label shards."""

    model: str = "production"
    """Model to label with: its id, as `sdt models` lists it, or `production` for the one in production."""
    since: datetime.date | None = None
    """First day to label, in UTC, such as 2026-11-01; null: from the first. Without `since` and `until` conversations
    without a date are labelled too."""
    until: datetime.date | None = None
    """Last day to label, in UTC, included; null: to the last."""
    look_back: int = Field(0, ge=0)
    """Number of days before `since` to look back to: those with changed or unlabelled conversations are labelled
    again."""

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
        """The days to label, with those to look back to."""
        back = datetime.timedelta(days=self.look_back)
        return DateRange(since=self.since and self.since - back, until=self.until)


Part = Literal["utterances", "features", "labels", "models", "encoders"]


class VerifyConfig(RunSettings):
    """What to read again and compare with its manifests."""

    parts: tuple[Part, ...] = ("utterances", "features", "labels", "models", "encoders")
    """What is read again: any of the archive's `utterances`, `features` and `labels`, and of the workspace's `models`
    and `encoders`."""
