"""What one data-parallel worker does: gather the data, go on from the last checkpoint, run epochs."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from sdt_model.metrics.calibration import Calibration, calibrate
from sdt_model.model import SDT
from sdt_model.ops.malloc import keep_freed_memory
from sdt_model.ops.precision import prepare_precision
from sdt_model.predict import predict
from sdt_model.training.objective import Objective
from sdt_model.training.trainer import EVALUATION_UTTERANCES, Trainer
from sdt_model.weights import new_network
from tasks.archive.layout import features_folder
from tasks.archive.manifests import read_archive
from tasks.features.reader import FeatureFolder
from tasks.storage.workspace import Workspace
from tasks.training.checkpoints import Progress, best_of, report, resume, weights
from tasks.training.plan import TrainPlan
from tasks.training.run import SavedCheckpoint, TrainingContext
from tasks.training.splits import gather_splits, statistics


def train_worker(context: TrainingContext, plan: TrainPlan) -> None:
    """Train to the end, from wherever the run was left."""
    optim = plan.bundle.training.optim
    torch.set_num_threads(plan.threads)
    keep_freed_memory()
    with tempfile.TemporaryDirectory(prefix="sdt-train-") as scratch:
        trainer = build_trainer(plan, Path(scratch), context.device, context.wrap)
        progress, best = resume(context, trainer)
        while not progress.finished(optim.epochs, optim.patience):
            scores = train_epoch(trainer, len(progress.history))
            progress = Progress(history=(*progress.history, scores))
            if progress.best == len(progress.history) - 1:
                best = weights(trainer.scored)
            if context.rank == 0:
                context.tell(progress.line(optim.epochs))
            report(context, trainer, best, progress)
        if context.rank == 0:  # the weights are the same everywhere, and one pass over dev and test is soon done
            progress = progress.model_copy(update={"calibration": calibration(trainer, best)})
        report(context, trainer, best, progress)


def read_best(plan: TrainPlan, checkpoint: SavedCheckpoint) -> tuple[SDT, Progress]:
    """The network of the best epoch, and the scores of all."""
    best, progress = best_of(checkpoint)
    network = new_network(plan.bundle)
    network.load_state_dict(best)
    return network, progress


def build_trainer(
    plan: TrainPlan, scratch: Path, device: torch.device, wrap: Callable[[SDT], nn.Module] = lambda network: network
) -> Trainer:
    """This worker's trainer: its own copy of the splits in ``scratch``, and the network, wrapped where it is shared."""
    workspace, bundle = Workspace(plan.workspace), plan.bundle
    archive = read_archive(workspace, bundle.archive)
    folders = [
        FeatureFolder(modality, source.dim, features_folder(bundle.archive, modality, source.fingerprint))
        for modality, source in bundle.features.items()
    ]
    splits = gather_splits(workspace, archive, folders, bundle.emotions, plan.rule, scratch)
    torch.manual_seed(bundle.training.optim.seed)
    network = new_network(bundle)
    network.set_statistics(*statistics(splits.train))
    plain = network.to(device)
    prepare_precision(device)
    objective = Objective(bundle.training.objective, plain.modalities, bundle.emotions, splits.train.label)
    trainer = Trainer(wrap(plain), plain, objective, splits, bundle.training)
    if bundle.training.optim.compile:  # last: a copy of the network that the trainer keeps must be plain
        plain.compile_parts()
    return trainer


def train_epoch(trainer: Trainer, number: int) -> dict[str, float]:
    """Train one epoch; its losses and the scores after it."""
    losses = trainer.epoch(number)
    scores = trainer.evaluate(trainer.data.dev, "dev")
    if len(trainer.data.test.lengths):
        scores |= trainer.evaluate(trainer.data.test, "test")
    return losses | scores


def calibration(trainer: Trainer, best: dict[str, Tensor]) -> Calibration:
    """The best epoch's, over annotated utterances that have any modality; the trainer is left with its weights."""
    trainer.scored.load_state_dict(best)
    splits = {}
    for name, split in (("dev", trainer.data.dev), ("test", trainer.data.test)):
        if len(split.lengths):
            predictions = predict(trainer.scored, split, EVALUATION_UTTERANCES)
            splits[name] = predictions.probabilities, np.where(split.present.any(axis=0), split.label, -1)
    return calibrate(splits)
