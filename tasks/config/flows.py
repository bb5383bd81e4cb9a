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
        return shared_out(self, self.train_workers)


class DemoConfig(PipelineConfig):
    """The pipeline over a synthetic archive, which is made first."""

    archive: str = "synthetic-demo"
    """Name of the archive in the workspace."""
    kind: Literal["table"] = "table"
    """The synthetic archive is a table."""
    path: str = "./synthetic-demo"
    """Local folder that the synthetic archive is written into."""
    training: TrainingSettings = demo()
    """Model, objective and optimisation."""
    conversations: int = Field(120, ge=3)
    """Conversations to make up."""
    seed: int = Field(7, ge=0)
    """Seeds the making of the archive; the training has its own."""
