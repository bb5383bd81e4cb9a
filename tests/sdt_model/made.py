"""Small made-up conversations in which each modality carries a noisy trace of the label."""

import numpy as np

from sdt_model.batch import Conversations
from sdt_model.config import Modality, ModelConfig, ObjectiveConfig, OptimConfig, TrainingConfig

DIMS: dict[Modality, int] = {"text": 12, "audio": 7, "visual": 9}
EMOTIONS = ("anger", "joy", "neutral")


def conversations(
    lengths: list[int], seed: int = 0, dims: dict[Modality, int] = DIMS, present: float = 1.0, noise: float = 1.0
) -> Conversations:
    """``present``: the chance that an utterance has a modality."""
    chance = np.random.default_rng(seed)
    rows = sum(lengths)
    label = chance.integers(0, len(EMOTIONS), rows)
    there = chance.random((len(dims), rows)) < present
    centres = {name: np.random.default_rng(99).standard_normal((len(EMOTIONS), dim)) for name, dim in dims.items()}
    features = {
        name: ((centres[name][label] + noise * chance.standard_normal((rows, dim))) * there[m][:, None]).astype(
            np.float32
        )
        for m, (name, dim) in enumerate(dims.items())
    }
    offset = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return Conversations(features, there, chance.integers(0, 4, rows), label, offset)


def training(hidden: int = 16, dropout: float = 0.0, **optim: float) -> TrainingConfig:
    return TrainingConfig(
        model=ModelConfig(hidden=hidden, heads=2, dropout=dropout, speakers=4),
        objective=ObjectiveConfig(temperature=2.0),
        optim=OptimConfig(**{"learning_rate": 3e-3, "batch_conversations": 4, "epochs": 5, **optim}),
    )
