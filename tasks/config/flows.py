"""Configuration of flows that run several stages."""

import datetime
from typing import Literal, TypeVar

from pydantic import BaseModel, Field, model_validator

from sdt_model.config import Modality
from sdt_model.recipes import demo
from tasks.config.stages import (
    ExtractConfig,
    ExtractorNames,
    IngestConfig,
    LabelConfig,
    Labelling,
    Resources,
    RunSettings,
    Source,
    StageConfig,
    Watching,
)
from tasks.config.training import Fitting, Promoting, TrainConfig, TrainingSettings, check_workers, shared_out

Config = TypeVar("Config", bound=RunSettings)


class FlowConfig(StageConfig):
    """Settings of a flow that runs several stages."""

    def _stage(self, kind: type[Config], /, **own: object) -> Config:
        """The settings of one stage: every field that both have from the same class, and its ``own``.

        Raises:
            TypeError: a field of the stage is neither. It would fall back to its default, and nobody would notice.
        """
        shared = {
            name: getattr(self, name)
            for name in kind.model_fields
            if name not in own and _declared_in(kind, name) is _declared_in(type(self), name)
        }
        if unset := kind.model_fields.keys() - shared.keys() - own.keys():
            raise TypeError(
                f"{type(self).__name__} does not say what {kind.__name__} takes as {', '.join(sorted(unset))}"
            )
        return kind.model_validate(shared | own)


def _declared_in(kind: type[BaseModel], name: str) -> type | None:
    """The class that a configuration has a field from; one that only changes its default does not count."""
    classes = [base for base in kind.__mro__ if issubclass(base, BaseModel) and name in base.model_fields]
    return classes[-1] if classes else None


class NightlyConfig(Watching, Labelling, FlowConfig):
    """One day's labels: its sources, if any are named, brought in, the model's features made, the day labelled."""

    model: str = "production"
    """Model to label with: its id, as `sdt models` lists it, or `production` for the one in production."""
    date: datetime.date | None = None
    """Day to label, in UTC, such as 2026-11-01; null: the day for which the run was scheduled, however late it runs."""
    look_back: int = Field(3, ge=0)
    """Number of days before it to look back to: those with changed or unlabelled conversations are labelled again."""
    source: Source | None = None
    """Source files to bring in first; null: something else keeps the archive up to date."""
    fetch_encoders: bool = False
    """Whether an encoder that the model names, and that is not on this machine, is fetched from the hub; false: the
    run ends and says how to get it."""

    def ingest(self, source: Source) -> IngestConfig:
        """How the source files are brought in."""
        return self._stage(IngestConfig, **dict(source))

    def extract(self, extractors: ExtractorNames, modalities: tuple[Modality, ...]) -> ExtractConfig:
        """How missing features are made, by the model's extractors."""
        return self._stage(ExtractConfig, extractors=extractors, modalities=modalities)

    def label(self, model_id: str, day: datetime.date) -> LabelConfig:
        """How a day, and what has changed before it, is labelled."""
        return self._stage(LabelConfig, model=model_id, since=day, until=day, look_back=self.look_back)


class PipelineConfig(Labelling, Promoting, Fitting, ExtractConfig, IngestConfig, FlowConfig):
    """All four stages in turn, over one archive; labels come from the model that the run trains."""

    train_workers: int = Field(1, ge=1)
    """Training workers that share every batch (data parallel); `workers` is for the other stages."""
    train_resources: Resources | None = None
    """CPUs, GPUs and memory of one training worker; null: its share of all cores."""

    @model_validator(mode="after")
    def _every_worker_has_work(self) -> "PipelineConfig":
        check_workers(self.ray, self.train_workers)
        return shared_out(self, self.train_workers)

    def ingest(self) -> IngestConfig:
        """How the source files are brought in."""
        return self._stage(IngestConfig)

    def extract(self) -> ExtractConfig:
        """How their features are made."""
        return self._stage(ExtractConfig)

    def train(self, modalities: tuple[Modality, ...]) -> TrainConfig:
        """How a model of these modalities is trained."""
        return self._stage(
            TrainConfig,
            extractors=self.extractors,
            modalities=modalities,
            workers=self.train_workers,
            resources=self.train_resources,
            retries=self.retries,
        )

    def label(self, model_id: str) -> LabelConfig:
        """How every conversation is labelled by the model."""
        return self._stage(LabelConfig, model=model_id, since=None, until=None, look_back=0)


class DemoConfig(PipelineConfig):
    """The pipeline over a synthetic archive, which is made first."""

    archive: str = "synthetic-demo"
    """Name of the archive in the workspace."""
    kind: Literal["table"] = "table"
    """Kind of the synthetic source: always a table."""
    path: str = "./synthetic-demo"
    """Local folder that the synthetic source files are written into."""
    training: TrainingSettings = demo()
    """Settings of the network, loss and optimiser: the name of a recipe, or fields of its own."""
    conversations: int = Field(120, ge=3)
    """Number of synthetic conversations."""
    seed: int = Field(7, ge=0)
    """Seed of the synthetic conversations; training has one of its own, `training.optim.seed`."""

    def pipeline(self, table: str) -> PipelineConfig:
        """The pipeline over the synthetic source files, which lie at ``table``."""
        return self._stage(PipelineConfig, path=table)
