"""The same training with several seeds: what one seed says may be luck."""

import logging
import statistics
from collections.abc import Sequence

from sdt_model.bundle import Bundle
from sdt_model.config import Frozen, Modality, TrainingConfig
from sdt_model.metrics.scores import PRIMARY
from tasks.config.training import RepeatConfig
from tasks.errors import WorkflowError
from tasks.registry.models import find_bundle
from tasks.storage.workspace import Workspace
from tasks.training.train import train

log = logging.getLogger("sdt.seeds")


class Spread(Frozen):
    """A score over several seeds."""

    mean: float
    """Mean over the seeds."""
    deviation: float
    """Standard deviation over the seeds, of a sample; 0 for one seed."""


def spread(values: Sequence[float]) -> Spread:
    """Mean and deviation of a score's values, one a seed."""
    return Spread(mean=statistics.fmean(values), deviation=statistics.stdev(values) if len(values) > 1 else 0.0)


def train_seeds(
    what: str, config: RepeatConfig, training: TrainingConfig, modalities: tuple[Modality, ...] | None, run: str
) -> list[Bundle]:
    """Train a model for each seed; models that exist already are not trained again.

    Args:
        what: how log lines begin.
        config: archive, workers and seeds.
        training: settings of the network, loss and optimiser; their seed is replaced.
        modalities: those that the models read; None: all that have features.
        run: the run's name, for whoever meets it at work.

    Raises:
        WorkflowError: training failed, or there is no test split to score on.
    """
    workspace, bundles = Workspace(config.workspace), []
    for number, seed in enumerate(config.seeds):
        log.info("%s: seed %d (%d of %d)", what, seed, number + 1, len(config.seeds))
        report = train(config.one(training, modalities, seed), run)
        if f"test_{PRIMARY}" not in report.metrics:  # said after the first model, not after the last
            raise WorkflowError(
                f"archive {config.archive!r} has no annotated conversation in its test split\n"
                "  give the `split` column test, or set test_fraction"
            )
        bundles.append(find_bundle(workspace, report.model_id))
    return bundles
