"""Scores of a split: accuracy, weighted and macro F1, counted over all workers."""

import torch
from torch import Tensor
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score


def classification_scores(classes: int, device: torch.device) -> MetricCollection:
    """An empty count; `update` it with predictions (N,) and labels (N,), where a label of -1 does not count.

    ``compute`` adds up the counts of all workers where torch.distributed is running.
    """
    return MetricCollection(
        {
            "accuracy": MulticlassAccuracy(num_classes=classes, average="micro", ignore_index=-1),
            "weighted_f1": MulticlassF1Score(num_classes=classes, average="weighted", ignore_index=-1),
            "macro_f1": MulticlassF1Score(num_classes=classes, average="macro", ignore_index=-1),
        }
    ).to(device)


def computed(metrics: MetricCollection, prefix: str) -> dict[str, float]:
    """The scores as plain numbers, each name after ``prefix``."""
    values: dict[str, Tensor] = metrics.compute()
    return {f"{prefix}_{name}": float(value) for name, value in values.items()}
