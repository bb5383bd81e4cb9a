"""The commands that run a flow: each one's configuration, and its flow, which is imported when the command runs.

A new command is a flow in a file of its own, an entry here and its options in `flows.cli.app`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from tasks.config.flows import DemoConfig, PipelineConfig
from tasks.config.stages import ExtractConfig, IngestConfig, LabelConfig, RunSettings
from tasks.config.training import AblateConfig, EvaluateConfig, FinetuneConfig, TrainConfig

if TYPE_CHECKING:
    from flows.orchestration import Flow
    from flows.reports.pages import Features, PipelineReport
    from tasks.evaluation.ablate import AblationReport
    from tasks.evaluation.evaluate import EvaluationReport
    from tasks.finetuning.finetune import FinetuneReport
    from tasks.label.report import LabelReport
    from tasks.storage.manifest import Manifest
    from tasks.training.train import TrainReport

Settings = TypeVar("Settings", bound=RunSettings)
Result = TypeVar("Result")


@dataclass(frozen=True)
class Command(Generic[Settings, Result]):
    """A command that runs a flow.

    Attributes:
        config: what the flow takes.
        flow: imports the flow; a wrong option is reported before that.
        needs_archive: whether the archive must be in the workspace already, which is checked before anything starts.
    """

    config: type[Settings]
    flow: Callable[[], "Flow[Settings, Result]"]
    needs_archive: bool = True


def _ingest() -> "Flow[IngestConfig, Manifest]":
    from flows.ingest import ingest_flow

    return ingest_flow


def _extract() -> "Flow[ExtractConfig, Features]":
    from flows.extract import extract_flow

    return extract_flow


def _train() -> "Flow[TrainConfig, TrainReport]":
    from flows.train import train_flow

    return train_flow


def _finetune_text() -> "Flow[FinetuneConfig, FinetuneReport]":
    from flows.finetune_text import finetune_text_flow

    return finetune_text_flow


def _label() -> "Flow[LabelConfig, LabelReport]":
    from flows.label import label_flow

    return label_flow


def _evaluate() -> "Flow[EvaluateConfig, EvaluationReport]":
    from flows.evaluate import evaluate_flow

    return evaluate_flow


def _ablate() -> "Flow[AblateConfig, AblationReport]":
    from flows.ablate import ablate_flow

    return ablate_flow


def _pipeline() -> "Flow[PipelineConfig, PipelineReport]":
    from flows.pipeline import pipeline_flow

    return pipeline_flow


def _demo() -> "Flow[DemoConfig, PipelineReport]":
    from flows.demo import demo_flow

    return demo_flow


INGEST = Command(IngestConfig, _ingest, needs_archive=False)
EXTRACT = Command(ExtractConfig, _extract)
TRAIN = Command(TrainConfig, _train)
FINETUNE_TEXT = Command(FinetuneConfig, _finetune_text)
LABEL = Command(LabelConfig, _label)
EVALUATE = Command(EvaluateConfig, _evaluate)
ABLATE = Command(AblateConfig, _ablate)
PIPELINE = Command(PipelineConfig, _pipeline, needs_archive=False)
DEMO = Command(DemoConfig, _demo, needs_archive=False)
