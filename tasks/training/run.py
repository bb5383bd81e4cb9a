"""A training run, whatever is trained: what its workers see, and where they run.

A worker is a plain function over a context and a plan. The context is Ray Train's (`tasks.training.ray_train`), or that
of the command's own process (`tasks.training.local_train`).
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from sdt_model.training.trainer import NonFiniteLoss
from tasks.config.stages import RayConfig, Resources
from tasks.errors import StoreOut, WorkflowError
from tasks.storage.workspace import Workspace


class SavedCheckpoint(Protocol):
    """A checkpoint that lies in the workspace."""

    def as_directory(self) -> AbstractContextManager[str]:
        """Its files in a local folder, for as long as they are needed."""


class TrainingContext(Protocol):
    """What one worker knows of the run that it is part of."""

    @property
    def rank(self) -> int:
        """Its number among the workers, from 0."""

    @property
    def workers(self) -> int:
        """How many there are."""

    @property
    def device(self) -> torch.device:
        """Where it computes."""

    def wrap(self, network: nn.Module) -> nn.Module:
        """The network, made to average its gradients over the workers."""

    def latest_checkpoint(self) -> SavedCheckpoint | None:
        """Where to go on from; None at the beginning."""

    def report(self, scores: dict[str, float], folder: Path | None) -> None:
        """Hand in the scores of an epoch and, from the first worker, a folder of files to go on from."""

    def tell(self, line: str) -> None:
        """Log a line where the command runs."""


Worker = Callable[[TrainingContext, Any], None]


@dataclass(frozen=True)
class TrainingRun:
    """What is trained and how.

    Attributes:
        workspace: holds the checkpoints.
        runs: folder of the runs.
        name: of this one; with the same name it goes on from its last checkpoint.
        worker: what each worker does, given its context and the plan.
        plan: what every worker is told.
        workers: how many there are, data-parallel.
        resources: what one of them gets.
        retries: how often it goes on from its last checkpoint after a fault.
        stage: begins every line of the log.
    """

    workspace: Workspace
    runs: str
    name: str
    worker: Worker
    plan: Any
    workers: int
    resources: Resources
    retries: int
    stage: str = "train"

    @property
    def folder(self) -> str:
        """Where its checkpoints lie."""
        return f"{self.runs}/{self.name}"


def fit(run: TrainingRun, config: RayConfig) -> SavedCheckpoint:
    """Train, over Ray or in this process; the last checkpoint.

    Raises:
        WorkflowError: training failed for good.
    """
    if config.in_process:
        from tasks.training.local_train import fit_locally as fit_run
    else:
        from tasks.training.ray_train import fit_on_ray as fit_run  # Ray Train takes many seconds to import

    checkpoint = fit_run(run)
    if checkpoint is None:
        raise WorkflowError(f"training of {run.name} ended without a checkpoint in {run.workspace.uri(run.runs)}")
    return checkpoint


def is_lasting(error: Exception) -> bool:
    """Whether it would come again from the same checkpoint; anything else may be the machine's fault, or a store's."""
    return isinstance(error, NonFiniteLoss | WorkflowError) and not isinstance(error, StoreOut)


def lasting(message: str) -> WorkflowError:
    """The error of a training that met what would come again."""
    return WorkflowError(f"training failed, and would again from its last checkpoint\n  {message}")


def given_up(failures: Mapping[int, Exception], error: Exception) -> WorkflowError:
    """The error of a training that was tried often enough; ``failures``: each worker's, by its rank, where known."""
    reasons = "\n".join(f"  worker {rank}: {type(cause).__name__}: {cause}" for rank, cause in failures.items())
    reasons = reasons or f"  {type(error).__name__}: {error}"
    return WorkflowError(f"training failed and was not retried any more\n{reasons}")
