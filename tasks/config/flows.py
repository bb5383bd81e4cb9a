"""Configuration of flows that run several stages."""

import datetime
from typing import Literal, TypeVar

from pydantic import Field, model_validator

from sdt_model.recipes import demo
from tasks.config.stages import (
    ExtractConfig,
    IngestConfig,
    Labelling,
    Resources,
    RunSettings,
    Source,
    StageConfig,
    Watching,
)
from tasks.config.training import Fitting, Promoting, TrainingSettings, shared_out

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
    """Model to label with: its id, as `sdt models` lists it, or `production` for the one in production."""
    date: datetime.date | None = None
    """Day to label, in UTC, such as 2026-11-01; null: the day for which the run was scheduled, however late it runs."""
    look_back: int = Field(3, ge=0)
    """Number of days before it to look back to: those with changed or unlabelled conversations are labelled again."""
    source: Source | None = None
    """Source files to bring in first; null: something else keeps the archive up to date."""


class PipelineConfig(Labelling, Promoting, Fitting, ExtractConfig, IngestConfig, Several):
    """All four stages in turn, over one archive; labels come from the model that the run trains."""

    train_workers: int = Field(1, ge=1)
    """Training workers that share every batch (data parallel); `workers` is for the other stages."""
    train_resources: Resources | None = None
    """CPUs, GPUs and memory of one training worker; null: its share of all cores."""

    @model_validator(mode="after")
    def _every_worker_has_work(self) -> "PipelineConfig":
        return shared_out(self, self.train_workers)


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
