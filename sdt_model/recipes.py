"""Recipes: training settings by name.

A recipe is a function that returns them. To add one, write it, and enter it in `RecipeName` and `RECIPES`.
"""

from collections.abc import Callable, Mapping
from typing import Literal

from sdt_model.config import ModelConfig, ObjectiveConfig, OptimConfig, TrainingConfig


def meld() -> TrainingConfig:
    """The published MELD settings."""
    return TrainingConfig(
        model=ModelConfig(unimodal_gates="identity"),
        objective=ObjectiveConfig(temperature=8.0),
        optim=OptimConfig(learning_rate=5e-6, batch_conversations=8, epochs=50, patience=50),
    )


def iemocap() -> TrainingConfig:
    """The published IEMOCAP settings, six classes."""
    shares = {"happy": 0.086747, "sad": 0.144406, "neutral": 0.227883, "angry": 0.160585, "excited": 0.127711}
    shares["frustrated"] = 0.252668
    return TrainingConfig(
        objective=ObjectiveConfig(temperature=1.0, class_weights={name: 1 / share for name, share in shares.items()}),
        optim=OptimConfig(learning_rate=1e-4, batch_conversations=16, epochs=150, patience=150),
    )


def meld_text() -> TrainingConfig:
    """MELD from frozen sentence embeddings alone: narrow and held back, since nothing but the text can be learned."""
    return TrainingConfig(
        model=ModelConfig(hidden=128, dropout=0.5, noise=0.5, unimodal_gates="identity"),
        objective=ObjectiveConfig(temperature=8.0, balance=0.25),
        optim=OptimConfig(learning_rate=3e-4, batch_conversations=16, epochs=40, patience=10, average=0.998),
    )


def demo() -> TrainingConfig:
    """A small, quick model for the synthetic demo archive."""
    return TrainingConfig(
        model=ModelConfig(hidden=96, heads=4, dropout=0.3),
        objective=ObjectiveConfig(temperature=2.0),
        optim=OptimConfig(learning_rate=1e-3, batch_conversations=8, epochs=30, patience=6, modality_dropout=0.2),
    )


RecipeName = Literal["meld", "meld-text", "iemocap", "demo"]
RECIPES: Mapping[str, Callable[[], TrainingConfig]] = {
    "meld": meld,
    "meld-text": meld_text,
    "iemocap": iemocap,
    "demo": demo,
}


def recipe(name: str) -> TrainingConfig:
    """The training settings of a recipe.

    Raises:
        ValueError: no recipe has this name; the message lists those that exist.
    """
    if name not in RECIPES:
        raise ValueError(f"there is no recipe {name!r}; there are: {', '.join(RECIPES)}")
    return RECIPES[name]()
