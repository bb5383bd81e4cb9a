"""What one data-parallel worker of Ray Train does: gather the data, go on from the last checkpoint, run epochs."""

import json
import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import ray.train
import torch
from pydantic import Field
from ray.train import Checkpoint
from ray.train.torch import get_device, prepare_model
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from sdt_model.bundle import Bundle
from sdt_model.calibration import Calibration, calibrate
from sdt_model.config import Frozen
from sdt_model.memory import keep_freed_memory
from sdt_model.model import SDT
from sdt_model.objective import Objective
from sdt_model.precision import prepare_precision
from sdt_model.predict import predict
from sdt_model.trainer import EVALUATION_UTTERANCES, Trainer
from tasks.archive import features_folder, read_archive
from tasks.features import FeatureFolder
from tasks.splits import SplitRule, gather_splits, statistics
from tasks.workspace import Workspace

log = logging.getLogger("sdt.train")

_LATEST, _BEST, _PROGRESS = "latest.safetensors", "best.safetensors", "progress.json"
SELECTED_BY = "dev_weighted_f1"


class TrainPlan(Frozen):
    """What every worker is told."""

    workspace: str
    """URL of the workspace."""
    bundle: Bundle
    """The model to be, without its scores."""
    rule: SplitRule
    """How conversations are split."""
    threads: int = Field(ge=1)
    """Threads of a worker."""


class Progress(Frozen):
    """The scores of every epoch so far."""

    history: tuple[dict[str, float], ...] = ()
    """Losses and scores by epoch."""
    calibration: Calibration = Calibration()
    """Of the best epoch, once all are done."""

    @property
    def best(self) -> int:
        """The epoch with the best dev score, the earliest of equals."""
        scores = [scores[SELECTED_BY] for scores in self.history]
        return scores.index(max(scores))

    def finished(self, epochs: int, patience: int) -> bool:
        done = len(self.history)
        return done >= epochs or (done > 0 and done - 1 - self.best >= patience)

    def metrics(self) -> dict[str, float]:
        """Scores of the best epoch by dev; the best by test stand under the name `paper_protocol` alone."""
        selected = {
            name: value for name, value in self.history[self.best].items() if name.startswith(("dev_", "test_"))
        }
        protocol = {}
        if "test_weighted_f1" in selected:
            by_test = max(self.history, key=lambda scores: scores["test_weighted_f1"])
            protocol = {f"paper_protocol_{k}": v for k, v in by_test.items() if k.startswith("test_")}
        return {
            "best_epoch": float(self.best),
            "epochs": float(len(self.history)),
            **selected,
            **protocol,
            **self.calibration.errors,
        }


def train_worker(settings: dict[str, Any]) -> None:
    """Ray Train's entry point; ``settings``: the plan as JSON data, and a queue for the epoch lines."""
    plan = TrainPlan.model_validate(settings["plan"])
    optim = plan.bundle.training.optim
    torch.set_num_threads(plan.threads)
    keep_freed_memory()
    with tempfile.TemporaryDirectory(prefix="sdt-train-") as scratch:
        trainer = build_trainer(plan, Path(scratch), get_device(), prepare_model)
        progress, best = _restore(trainer)
        while not progress.finished(optim.epochs, optim.patience):
            scores = train_epoch(trainer, len(progress.history))
            progress = Progress(history=(*progress.history, scores))
            if progress.best == len(progress.history) - 1:
                best = _weights(trainer.kept)
            if trainer.rank == 0:
                settings["queue"].put(json.dumps({"line": _line(progress, optim.epochs)}))
            with _checkpoint(trainer, best, progress) as checkpoint:
                ray.train.report(scores, checkpoint=checkpoint)
        if trainer.rank == 0:  # the weights are the same everywhere, and one pass over dev and test is soon done
            progress = progress.model_copy(update={"calibration": calibration(trainer, best)})
        with _checkpoint(trainer, best, progress) as checkpoint:
            ray.train.report(progress.history[-1], checkpoint=checkpoint)


def read_best(plan: TrainPlan, checkpoint: Checkpoint) -> tuple[SDT, Progress]:
    """The network of the best epoch, and the scores of all."""
    with checkpoint.as_directory() as folder:
        network = plan.bundle.network()
        network.load_state_dict(load_file(Path(folder) / _BEST))
        return network, Progress.model_validate_json((Path(folder) / _PROGRESS).read_text())


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
    network = bundle.network()
    network.set_statistics(*statistics(splits.train))
    plain = network.to(device)
    prepare_precision(device, bundle.training.optim.precision)
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
    trainer.kept.load_state_dict(best)
    splits = {}
    for name, split in (("dev", trainer.data.dev), ("test", trainer.data.test)):
        if len(split.lengths):
            found = predict(trainer.kept, split, EVALUATION_UTTERANCES)
            splits[name] = found.probabilities, np.where(split.present.any(axis=0), split.label, -1)
    return calibrate(splits)


def _weights(network: SDT) -> dict[str, Tensor]:
    return {name: value.detach().cpu().clone().contiguous() for name, value in network.state_dict().items()}


@contextmanager
def _checkpoint(trainer: Trainer, best: dict[str, Tensor], progress: Progress) -> Iterator[Checkpoint | None]:
    """The first worker's checkpoint, as files; the others have none, their weights being the same."""
    if trainer.rank != 0:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="sdt-checkpoint-") as folder:
        save_file(trainer.state(), Path(folder) / _LATEST)
        save_file(best, Path(folder) / _BEST)
        (Path(folder) / _PROGRESS).write_text(progress.model_dump_json())
        yield Checkpoint.from_directory(folder)


def _restore(trainer: Trainer) -> tuple[Progress, dict[str, Tensor]]:
    checkpoint = ray.train.get_checkpoint()
    if checkpoint is None:
        return Progress(), {}
    with checkpoint.as_directory() as folder:
        trainer.restore(load_file(Path(folder) / _LATEST))
        progress = Progress.model_validate_json((Path(folder) / _PROGRESS).read_text())
        log.info("going on after epoch %d", len(progress.history))
        return progress, load_file(Path(folder) / _BEST)


def _line(progress: Progress, epochs: int) -> str:
    done, now = len(progress.history), progress.history[-1]
    return (
        f"epoch {done}/{epochs}, loss {now['loss']:.4f}, dev weighted F1 {now[SELECTED_BY]:.4f} "
        f"(best {progress.history[progress.best][SELECTED_BY]:.4f} in epoch {progress.best + 1})"
    )
