"""Scores from confusion matrices, and how far they could be off: bootstrap by conversation.

Utterances of a conversation are alike, so whole conversations are drawn (Efron and Tibshirani 1993, chapter 8). A
conversation is its confusion matrix; a draw is a weighted sum of matrices, and costs no new prediction. A matrix may
have one column more, (K, K + 1): utterances of which nothing was said, which count as wrong.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from sdt_model.config import Frozen
from sdt_model.conversations import Ints

Scores = npt.NDArray[np.float64]
_DRAWS_AT_ONCE = 64


class Interval(Frozen):
    """The middle 95% of the draws."""

    low: float
    """2.5% of the draws are lower."""
    high: float
    """2.5% of the draws are higher."""


def conversation_confusions(label: Ints, guess: Ints, offset: Ints, classes: int) -> Ints:
    """(conversations, K, K) counts, true emotion by said emotion; labels of -1 do not count."""
    conversation = np.repeat(np.arange(len(offset) - 1), np.diff(offset))
    counted = label >= 0
    cell = (conversation * classes + label) * classes + guess
    count = np.bincount(cell[counted], minlength=(len(offset) - 1) * classes**2)
    return count.reshape(-1, classes, classes)


def f1_scores(confusion: npt.NDArray[np.generic]) -> Scores:
    """(..., K) of matrices (..., K, K): 2 hits / (true + said), 0 for an emotion that is neither."""
    hits = np.diagonal(confusion, axis1=-2, axis2=-1).astype(np.float64)
    return np.asarray(2 * hits / np.maximum(_true_and_said(confusion), 1))


def accuracy(confusion: npt.NDArray[np.generic]) -> Scores:
    """(...) of matrices (..., K, K)."""
    return np.asarray(np.trace(confusion, axis1=-2, axis2=-1) / np.maximum(confusion.sum(axis=(-2, -1)), 1))


def weighted_f1(confusion: npt.NDArray[np.generic]) -> Scores:
    """(...): the mean of the F1 scores by how many utterances truly have the emotion."""
    true = confusion.sum(axis=-1)
    return np.asarray((f1_scores(confusion) * true).sum(axis=-1) / np.maximum(true.sum(axis=-1), 1))


def macro_f1(confusion: npt.NDArray[np.generic]) -> Scores:
    """(...): the plain mean over the emotions that some utterance truly has or is said to have."""
    some = _true_and_said(confusion) > 0
    return np.asarray((f1_scores(confusion) * some).sum(axis=-1) / np.maximum(some.sum(axis=-1), 1))


SCORES: dict[str, Callable[[npt.NDArray[np.generic]], Scores]] = {
    "weighted_f1": weighted_f1,
    "macro_f1": macro_f1,
    "accuracy": accuracy,
}


def bootstrap(models: Sequence[Ints], draws: int, seed: int = 0) -> dict[str, Scores]:
    """Each of `SCORES`, mean over the models, in every draw: (draws,) of confusions (conversations, K, K) a model.

    With the same ``seed`` any models of the same conversations meet the same draws, and can be paired.
    """
    found: dict[str, list[Scores]] = {name: [] for name in SCORES}
    stacked = np.stack(models)
    for weight in _weights(stacked.shape[1], draws, seed):
        drawn = np.einsum("bc,sckl->bskl", weight, stacked, optimize=True)
        for name, score in SCORES.items():
            found[name].append(score(drawn).mean(axis=1))
    return {name: np.concatenate(parts) for name, parts in found.items()}


def interval(draws: Scores) -> Interval:
    """The middle 95% of scores (draws,)."""
    low, high = np.quantile(draws, [0.025, 0.975])
    return Interval(low=float(low), high=float(high))


def two_sided_p(differences: Scores) -> float:
    """How often draws (draws,) of a difference fall on the rarer side of 0, twice; never below 2 / (draws + 1)."""
    rarer = min((differences <= 0).sum(), (differences >= 0).sum())
    return min(1.0, float(2 * (rarer + 1) / (len(differences) + 1)))


def _true_and_said(confusion: npt.NDArray[np.generic]) -> Scores:
    """(..., K): how often each emotion is true, and how often it is said, together."""
    said = confusion.sum(axis=-2)[..., : confusion.shape[-2]]
    return np.asarray(confusion.sum(axis=-1) + said, np.float64)


def _weights(conversations: int, draws: int, seed: int) -> Iterator[Scores]:
    """(some draws, conversations): how often each was drawn."""
    chance = np.random.default_rng(seed)
    share = np.full(conversations, 1 / conversations)
    for begin in range(0, draws, _DRAWS_AT_ONCE):
        size = min(_DRAWS_AT_ONCE, draws - begin)
        yield chance.multinomial(conversations, share, size).astype(np.float64)
