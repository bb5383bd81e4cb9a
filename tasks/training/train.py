"""Train: features of annotated conversations to a bundle, on data-parallel workers.

Nothing here imports torch or Ray before there is something to train.
"""

import logging
from contextlib import suppress

from sdt_model.bundle import Bundle
from sdt_model.config import Frozen
from tasks.archive.layout import MODEL_RUNS, model_folder
from tasks.archive.leases import making_of
from tasks.config.training import TrainConfig
from tasks.executor.capacity import training_resources
from tasks.registry.models import intact_bundle, write_bundle
from tasks.storage.lease import lease
from tasks.storage.workspace import Workspace
from tasks.training.plan import TrainPlan, plan_training
from tasks.training.promotion import Promotion, promote_if
from tasks.training.tracking import track, tracked

log = logging.getLogger("sdt.train")


class TrainReport(Frozen):
    """What a training run made."""

    model_id: str
    """The bundle's name."""
    path: str
    """The bundle's folder, relative to the workspace."""
    metrics: dict[str, float]
    """Scores of the epoch selected on dev."""
    epochs: int
    """Epochs trained; 0 when the model was already there."""
    promotion: Promotion
    """Whether it went into production, and why."""


def train(config: TrainConfig, run: str = "") -> TrainReport:
    """Train a model and write its bundle; one already made from the same data and settings is left as it is.

    ``run`` is how a second run that would train the same model is told who does.

    Raises:
        WorkflowError: features are missing, nothing is annotated, training failed, or another run trains the same
            model; MLflow is asked for and not installed.
    """
    workspace, tracking = Workspace(config.workspace), tracked()
    plan = plan_training(workspace, config)
    model_id = plan.bundle.model_id
    bundle, epochs = _existing(workspace, model_id), 0
    if bundle is None:
        bundle, epochs = _train(workspace, plan, config, run)
    else:
        with suppress(FileNotFoundError):  # of another run that is just removing them
            workspace.remove_folder(f"{MODEL_RUNS}/{model_id}")
    promotion, path = promote_if(workspace, bundle, config), model_folder(model_id)
    if tracking and epochs:
        track(bundle, promotion, workspace.uri(path))
    return TrainReport(model_id=model_id, path=path, metrics=bundle.metrics, epochs=epochs, promotion=promotion)


def _existing(workspace: Workspace, model_id: str) -> Bundle | None:
    bundle = intact_bundle(workspace, model_id)
    if bundle is not None:
        log.info("train: nothing to do, %s is there", model_id)
    return bundle


def _train(workspace: Workspace, plan: TrainPlan, config: TrainConfig, run: str) -> tuple[Bundle, int]:
    """The new model, and its epochs; 0 where another run has made it meanwhile."""
    # They bring torch and Ray, which take seconds to import, and where the model exists there is no need of them.
    from sdt_model.weights import to_files
    from tasks.training.run import TrainingRun, fit
    from tasks.training.worker import read_best, train_worker

    model_id = plan.bundle.model_id
    resources = training_resources(config.ray, config.resources, config.workers)
    plan = plan.model_copy(update={"threads": max(1, int(resources.cpus))})
    with lease(workspace, making_of("train", "model", model_id), config.lease_s, run) as claim:
        if (existing := _existing(workspace, model_id)) is not None:  # made by the run that this one has waited for
            return existing, 0
        training = TrainingRun(
            workspace, MODEL_RUNS, model_id, train_worker, plan, config.workers, resources, config.retries
        )
        checkpoint = fit(training, config.ray)
        network, progress = read_best(plan, checkpoint)
        scores = {
            "metrics": progress.metrics(),
            "calibration_temperature": progress.calibration.temperature,
            "student_temperatures": progress.calibration.alone,
            "held_out": progress.held_out,
        }
        bundle = plan.bundle.model_copy(update=scores)
        claim.check()
        write_bundle(workspace, bundle.model_id, to_files(bundle, network, progress.history))
        workspace.remove_folder(f"{MODEL_RUNS}/{model_id}")
    return bundle, len(progress.history)
