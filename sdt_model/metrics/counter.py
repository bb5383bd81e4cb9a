"""A confusion matrix that is counted over all workers, and the scores that follow from it."""

import torch
from torch import Tensor, distributed

from sdt_model.metrics.scores import SCORES


class ConfusionCount:
    """A confusion matrix (K, K) that grows batch by batch, on the device of the predictions.

    It is counted here, and scored by `sdt_model.metrics.scores` like every other matrix, as importing torchmetrics
    takes a worker longer than importing torch.
    """

    def __init__(self, classes: int, device: torch.device) -> None:
        self._classes = classes
        self._count = torch.zeros(classes**2 + 1, dtype=torch.int64, device=device)  # the last: no label

    def update(self, guess: Tensor, label: Tensor) -> None:
        """Add predictions (N,) and labels (N,); a label of -1 does not count. Nothing waits for the device."""
        cell = torch.where(label >= 0, label * self._classes + guess, self._classes**2)
        self._count.index_add_(0, cell, torch.ones_like(cell))

    def scores(self, prefix: str) -> dict[str, float]:
        """Each of `SCORES` over all workers, where torch.distributed is running; its name after ``prefix``.

        Called once, and by every worker: it adds up their counts.
        """
        if distributed.is_available() and distributed.is_initialized():
            distributed.all_reduce(self._count)
        confusion = self._count[:-1].view(self._classes, self._classes).cpu().numpy()
        return {f"{prefix}_{name}": float(score.compute(confusion)) for name, score in SCORES.items()}
