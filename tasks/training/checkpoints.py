"""A training run's checkpoints, whatever is trained: the latest state, the best weights, and the scores so far."""

import logging
import tempfile
from pathlib import Path
from typing import Protocol

from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from sdt_model.bundle import HeldOut
from sdt_model.config import Frozen
from sdt_model.metrics.calibration import Calibration
from sdt_model.metrics.scores import PRIMARY, SCORES
from tasks.training.run import SavedCheckpoint, TrainingContext

log = logging.getLogger("sdt.train")

SELECTED_BY = f"dev_{PRIMARY}"
_LATEST, _BEST, _PROGRESS = "latest.safetensors", "best.safetensors", "progress.json"


class Learner(Protocol):
    """What a worker trains with; workers hold the same weights after every epoch."""

    def state(self) -> dict[str, Tensor]:
        """Weights and optimiser state by name: all that the next epoch depends on."""

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on from a `state`."""


class Progress(Frozen):
    """The scores of every epoch so far."""

    history: tuple[dict[str, float], ...] = ()
    """Losses and scores by epoch."""
    calibration: Calibration = Calibration()
    """Of the best epoch, once all are done."""
    scores: dict[str, float] = Field(default_factory=dict)
    """Of the best epoch, as labelling computes them, once all are done."""
    held_out: HeldOut | None = None
    """What the best epoch says of dev and test, once all are done."""

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
        if f"test_{PRIMARY}" in selected:
            by_test = max(self.history, key=lambda scores: scores[f"test_{PRIMARY}"])
            protocol = {f"paper_protocol_{k}": v for k, v in by_test.items() if k.startswith("test_")}
        return {
            "best_epoch": float(self.best),
            "epochs": float(len(self.history)),
            **(selected | self.scores),
            **protocol,
            **self.calibration.errors,
        }

    def line(self, epochs: int) -> str:
        """One line on the epoch that is done."""
        done, now = len(self.history), self.history[-1]
        return (
            f"epoch {done}/{epochs}, loss {now['loss']:.4f}, dev {SCORES[PRIMARY].label} {now[SELECTED_BY]:.4f} "
            f"(best {self.history[self.best][SELECTED_BY]:.4f} in epoch {self.best + 1})"
        )


def weights(network: nn.Module) -> dict[str, Tensor]:
    """A copy of a network's weights as they are now."""
    return {name: value.detach().cpu().clone().contiguous() for name, value in network.state_dict().items()}


def report(context: TrainingContext, learner: Learner, best: dict[str, Tensor], progress: Progress) -> None:
    """Hand in the last epoch's scores with a checkpoint; the first worker's alone, as all hold the same weights.

    Args:
        context: of this worker.
        learner: whose state the next epoch depends on.
        best: the weights of the best epoch.
        progress: the scores of every epoch so far.
    """
    if context.rank != 0:
        context.report(progress.history[-1], None)
        return
    with tempfile.TemporaryDirectory(prefix="sdt-checkpoint-") as scratch:
        folder = Path(scratch)
        save_file(learner.state(), folder / _LATEST)
        save_file(best, folder / _BEST)
        (folder / _PROGRESS).write_text(progress.model_dump_json())
        context.report(progress.history[-1], folder)


def resume(context: TrainingContext, learner: Learner) -> tuple[Progress, dict[str, Tensor]]:
    """Go on from the run's last checkpoint, if it has one; the scores and the best weights so far."""
    checkpoint = context.latest_checkpoint()
    if checkpoint is None:
        return Progress(), {}
    try:
        with checkpoint.as_directory() as folder:
            state = load_file(Path(folder) / _LATEST)
        best, progress = best_of(checkpoint)
    except (SafetensorError, FileNotFoundError, ValueError) as error:
        log.warning("the last checkpoint is damaged (%s), and training begins anew", error)
        return Progress(), {}
    learner.restore(state)
    log.info("going on after epoch %d", len(progress.history))
    return progress, best


def best_of(checkpoint: SavedCheckpoint) -> tuple[dict[str, Tensor], Progress]:
    """The weights of the best epoch, and the scores of all."""
    with checkpoint.as_directory() as folder:
        progress = Progress.model_validate_json((Path(folder) / _PROGRESS).read_text())
        return load_file(Path(folder) / _BEST), progress
