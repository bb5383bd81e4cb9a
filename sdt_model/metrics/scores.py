"""Scores from confusion matrices, and their bootstrap by conversation.

Utterances of a conversation are alike, so whole conversations are drawn (Efron and Tibshirani 1993, chapter 8). A
conversation is its confusion matrix; a draw is a weighted sum of matrices, and costs no new prediction. A matrix may
have one column more, (K, K + 1): utterances of which nothing was said, which count as wrong.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sdt_model.conversations import Ints

Scores = npt.NDArray[np.float64]
_DRAWS_AT_ONCE = 64


def conversation_confusions(label: Ints, guess: Ints, offset: Ints, classes: int) -> Ints:
    """Count true emotions by predicted emotions in each conversation, (conversations, K, K).

    Args:
        label: (N,) true classes; -1 does not count.
        guess: (N,) predicted classes.
        offset: (conversations + 1,) where each conversation begins, and N.
        classes: K.
    """
    conversation = np.repeat(np.arange(len(offset) - 1), np.diff(offset))
    counted = label >= 0
    cell = (conversation * classes + label) * classes + guess
    count = np.bincount(cell[counted], minlength=(len(offset) - 1) * classes**2)
    return count.reshape(-1, classes, classes)


def f1_scores(confusion: npt.NDArray[np.generic]) -> Scores:
    """F1 of each emotion, (..., K) of matrices (..., K, K): 2 hits / (true + said), 0 for one that is neither."""
    hits = np.diagonal(confusion, axis1=-2, axis2=-1).astype(np.float64)
    return np.asarray(2 * hits / np.maximum(_true_and_predicted(confusion), 1))


def accuracy(confusion: npt.NDArray[np.generic]) -> Scores:
    """Share of utterances that are right, (...) of matrices (..., K, K)."""
    return np.asarray(np.trace(confusion, axis1=-2, axis2=-1) / np.maximum(confusion.sum(axis=(-2, -1)), 1))


def weighted_f1(confusion: npt.NDArray[np.generic]) -> Scores:
    """Mean of the F1 scores, each weighed by how many utterances truly have the emotion: (...)."""
    true = confusion.sum(axis=-1)
    return np.asarray((f1_scores(confusion) * true).sum(axis=-1) / np.maximum(true.sum(axis=-1), 1))


def macro_f1(confusion: npt.NDArray[np.generic]) -> Scores:
    """Plain mean of the F1 scores of emotions that some utterance truly has or is said to have: (...)."""
    some = _true_and_predicted(confusion) > 0
    return np.asarray((f1_scores(confusion) * some).sum(axis=-1) / np.maximum(some.sum(axis=-1), 1))


class Score(NamedTuple):
    """How a score is computed, and how reports show it."""

    compute: Callable[[npt.NDArray[np.generic]], Scores]
    """Scores (...) of confusion matrices (..., K, K), or (..., K, K + 1)."""
    label: str
    """What people call it."""
    form: str = ".4f"
    """Format of its values."""

    def text(self, value: float | None) -> str:
        """A value as reports show it; nothing where it was not measured, as by a version without this score."""
        return "" if value is None else f"{value:{self.form}}"


SCORES = {
    "weighted_f1": Score(weighted_f1, "weighted F1"),
    "macro_f1": Score(macro_f1, "macro F1"),
    "accuracy": Score(accuracy, "accuracy"),
}
"""Every score, by the name under which it is stored. To add one, write its function and enter it here."""

PRIMARY = "weighted_f1"
"""The score that epochs are chosen by and models are compared by."""

SPLITS = {
    "dev": "dev",
    "test": "test",
    "paper_protocol_test": "test, epoch chosen on test (paper protocol)",
}
"""What a stored score's name begins with, as in `dev_weighted_f1`, and what it was measured on."""


def bootstrap(models: Sequence[Ints], draws: int, seed: int = 0) -> dict[str, Scores]:
    """Each of `SCORES`, mean over the models, in every draw: (draws,).

    Args:
        models: the confusion matrices (conversations, K, K) of each model.
        draws: how many times as many conversations are drawn, with repeats, as there are.
        seed: with the same one any models of the same conversations meet the same draws, and can be paired.
    """
    values: dict[str, list[Scores]] = {name: [] for name in SCORES}
    stacked = np.stack(models)
    for weight in _weights(stacked.shape[1], draws, seed):
        drawn = np.einsum("bc,sckl->bskl", weight, stacked, optimize=True)
        for name, score in SCORES.items():
            values[name].append(score.compute(drawn).mean(axis=1))
    return {name: np.concatenate(parts) for name, parts in values.items()}


def _true_and_predicted(confusion: npt.NDArray[np.generic]) -> Scores:
    """How often each emotion is true plus how often it is predicted: (..., K)."""
    predicted = confusion.sum(axis=-2)[..., : confusion.shape[-2]]
    return np.asarray(confusion.sum(axis=-1) + predicted, np.float64)


def _weights(conversations: int, draws: int, seed: int) -> Iterator[Scores]:
    """How often each conversation was drawn, (draws, conversations), a few draws at a time."""
    chance = np.random.default_rng(seed)
    share = np.full(conversations, 1 / conversations)
    for begin in range(0, draws, _DRAWS_AT_ONCE):
        size = min(_DRAWS_AT_ONCE, draws - begin)
        yield chance.multinomial(conversations, share, size).astype(np.float64)
