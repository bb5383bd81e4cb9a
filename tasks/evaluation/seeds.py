"""The same training with several seeds: what one seed says may be luck."""

import logging
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from sdt_model.bundle import Bundle
from sdt_model.config import Frozen, Modality, TrainingConfig
from sdt_model.metrics.scores import PRIMARY
from tasks.archive.leases import evaluation_of
from tasks.archive.manifests import read_archive, read_same_archive
from tasks.config.training import RepeatConfig
from tasks.errors import WorkflowError
from tasks.registry.models import find_bundle
from tasks.storage.lease import lease
from tasks.storage.manifest import fingerprint
from tasks.storage.workspace import Workspace
from tasks.training.train import train

log = logging.getLogger("sdt.seeds")

Fence = Callable[[], None]
_WHERE = {"workspace", "archive", "ray", "resources", "retries", "lease_s"}  # nothing of what comes out


class Spread(Frozen):
    """A score over several seeds."""

    mean: float
    """Mean over the seeds."""
    deviation: float
    """Standard deviation over the seeds, of a sample; 0 for one seed."""


def spread(values: Sequence[float]) -> Spread:
    """Mean and deviation of a score's values, one a seed."""
    return Spread(mean=statistics.fmean(values), deviation=statistics.stdev(values) if len(values) > 1 else 0.0)


@contextmanager
def evaluating(stage: str, config: RepeatConfig, run: str) -> Iterator[Fence]:
    """Hold the lease on an evaluation; the fence raises where another run has taken over, or changed the archive.

    Args:
        stage: the command's.
        config: what is evaluated, and how.
        run: the run's name, for whoever meets it at work.

    Raises:
        WorkflowError: another run is at the same evaluation, or removes what nothing names.
    """
    workspace = Workspace(config.workspace)
    target = evaluation_of(stage, config.archive, fingerprint(config.model_dump(mode="json", exclude=_WHERE)))
    with lease(workspace, target, config.lease_s, run) as claim:
        archive = read_archive(workspace, config.archive)

        def fence() -> None:
            claim.check()
            read_same_archive(workspace, stage, config.archive, archive.fingerprint)

        yield fence


def train_seeds(
    what: str,
    config: RepeatConfig,
    training: TrainingConfig,
    modalities: tuple[Modality, ...] | None,
    run: str,
    fence: Fence,
) -> list[Bundle]:
    """Train a model for each seed; models that exist already are not trained again.

    Args:
        what: how log lines begin.
        config: archive, workers and seeds.
        training: settings of the network, loss and optimiser; their seed is replaced.
        modalities: those that the models read; None: all that have features.
        run: the run's name, for whoever meets it at work.
        fence: called before each training and after the last; raises where nothing more may be made.

    Raises:
        WorkflowError: training failed, or there is no test split to score on.
    """
    workspace, bundles = Workspace(config.workspace), []
    for number, seed in enumerate(config.seeds):
        log.info("%s: seed %d (%d of %d)", what, seed, number + 1, len(config.seeds))
        fence()
        report = train(config.one(training, modalities, seed), run)
        if f"test_{PRIMARY}" not in report.metrics:  # said after the first model, not after the last
            raise WorkflowError(
                f"archive {config.archive!r} has no annotated conversation in its test split\n"
                "  give the `split` column test, or set test_fraction"
            )
        bundles.append(find_bundle(workspace, report.model_id))
    fence()
    return bundles
