"""What one data-parallel worker does: gather the data, go on from the last checkpoint, run epochs."""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sdt_model.bundle import Bundle, HeldOut
from sdt_model.conversations import Conversations
from sdt_model.inference import InferenceSDT
from sdt_model.metrics.calibration import Labelled, calibrate
from sdt_model.metrics.scores import SCORES, conversation_confusions
from sdt_model.model import SDT
from sdt_model.ops.malloc import keep_freed_memory
from sdt_model.ops.precision import prepare_precision
from sdt_model.predict import Predictions, predict
from sdt_model.training.objective import Objective
from sdt_model.training.trainer import EVALUATION_UTTERANCES, Trainer
from sdt_model.weights import new_network
from tasks.archive.layout import features_folder
from tasks.archive.manifests import read_same_archive
from tasks.features.reader import FeatureFolder
from tasks.storage.workspace import Workspace
from tasks.training.checkpoints import Progress, best_of, report, resume, weights
from tasks.training.plan import TrainPlan
from tasks.training.run import SavedCheckpoint, TrainingContext
from tasks.training.splits import gather_splits, statistics

HELD_OUT = ("dev", "test")


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
            progress = progress.model_copy(update=final_scores(plan.bundle, trainer, best))
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
    archive = read_same_archive(workspace, "train", bundle.archive, bundle.data_fingerprint)
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


def final_scores(bundle: Bundle, trainer: Trainer, best: dict[str, Tensor]) -> dict[str, Any]:
    """Calibration, scores and held-out predictions of the best epoch, over utterances that have any modality.

    They are computed as labelling computes them: in float32, whatever number format the epochs were trained in.
    """
    network = new_network(bundle)
    network.load_state_dict(best)
    torch.set_float32_matmul_precision("highest")
    try:
        model = InferenceSDT(network.to(trainer.device))
        held_out = {name: split for name in HELD_OUT if len((split := getattr(trainer.data, name)).lengths)}
        said = {name: predict(model, split, EVALUATION_UTTERANCES) for name, split in held_out.items()}
        alone = {name: _said_alone(model, held_out, place) for place, name in enumerate(model.modalities)}
    finally:
        prepare_precision(trainer.device)
    labelled = {name: _labelled(held_out[name], predictions) for name, predictions in said.items()}
    scores: dict[str, float] = {}
    for name, split in held_out.items():
        confusions = conversation_confusions(labelled[name].label, said[name].emotion, split.offset, model.classes)
        together = confusions.sum(axis=0)
        scores |= {f"{name}_{kind}": float(score.compute(together)) for kind, score in SCORES.items()}
    return {
        "calibration": calibrate(labelled, alone if len(alone) > 1 else None),
        "scores": scores,
        "held_out": _held_out(bundle, held_out, said),
    }


def _said_alone(model: InferenceSDT, splits: Mapping[str, Conversations], place: int) -> dict[str, Labelled]:
    """What the model says from one modality alone, by its place, of the utterances that have it."""
    said = {}
    for name, split in splits.items():
        only = split.present & (np.arange(len(split.present)) == place)[:, None]
        said[name] = _labelled(split, predict(model, replace(split, present=only), EVALUATION_UTTERANCES))
    return said


def _labelled(split: Conversations, predictions: Predictions) -> Labelled:
    label = np.where(predictions.labelled, split.label, -1)
    return Labelled(predictions.probabilities, label, np.repeat(np.arange(len(split.lengths)), split.lengths))


def _held_out(bundle: Bundle, splits: Mapping[str, Conversations], said: Mapping[str, Predictions]) -> HeldOut:
    conversations, emotions = 0, np.zeros(len(bundle.emotions))
    for name, split in splits.items():
        label = np.where(said[name].labelled, said[name].emotion, -1)
        counts = conversation_confusions(label, label, split.offset, len(bundle.emotions)).sum(axis=1)
        counts = counts[counts.sum(axis=1) > 0]
        conversations += len(counts)
        emotions += (counts / counts.sum(axis=1, keepdims=True)).sum(axis=0)
    return HeldOut(conversations=conversations, emotions=dict(zip(bundle.emotions, emotions.tolist(), strict=True)))
