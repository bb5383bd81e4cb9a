"""How far scores could be off, had other conversations been drawn, or other seeds.

The error of a score comes from the bootstrap by conversation (`sdt_model.metrics.scores`), its interval from Student's
t: the middle of few draws is far too narrow, as the draws of n conversations vary by (n - 1) / n of what n others
would, and as their spread is itself an estimate (Efron and Tibshirani 1993, chapters 12 and 13). Conversations of
unlike sizes count as fewer (Kish 1965), and the seeds' variance is added. With fewer than `FEWEST` conversations
nothing is said: whatever it is, it would be of these conversations alone.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import stdtr, stdtrit

from sdt_model.config import Frozen
from sdt_model.conversations import Ints
from sdt_model.metrics.scores import SCORES, Scores, bootstrap

FEWEST = 5
"""Conversations below which nothing is said of how far a score could be off."""


class Interval(Frozen):
    """Holds the value in 95% of cases, had other conversations been drawn."""

    low: float
    """In 2.5% of cases it is lower."""
    high: float
    """In 2.5% of cases it is higher."""


class Estimate(NamedTuple):
    """A score, or a difference of scores, and how far it could be off."""

    value: float
    error: float
    """Standard error."""
    freedom: float
    """Degrees of freedom of the error."""
    conversations: int
    """That it was measured on."""
    lowest: float
    """No value is below it, nor above 1."""

    def bound(self, share: float) -> float:
        """The value that the true one is above in this ``share`` of cases."""
        if self.error > 0:
            bound = self.value - float(stdtrit(self.freedom, share)) * self.error
        elif self.lowest == 0 and self.value in (0.0, 1.0):
            # All right, or all wrong: the errors that were not met are bounded by how many conversations met none.
            miss = 1 - min(share, 1 - share) ** (1 / self.conversations)
            bound = self.value - (miss if self.value else -miss) * ((share > 0.5) == bool(self.value))
        else:
            bound = self.value
        return min(1.0, max(self.lowest, bound))

    @property
    def interval(self) -> Interval:
        """Of 95%."""
        return Interval(low=self.bound(0.975), high=self.bound(0.025))

    @property
    def p(self) -> float:
        """Two-sided: how likely a value so far from 0 is where the true one is 0."""
        if self.error > 0:
            return float(2 * stdtr(self.freedom, -abs(self.value) / self.error))
        return 1.0 if self.value == 0 else 2 * 0.5**self.conversations  # every conversation says the same


def estimates(models: Sequence[Ints], draws: int, against: Ints | None = None) -> dict[str, Estimate]:
    """Each of `SCORES`, mean over the models, by name; nothing where there are too few conversations.

    Args:
        models: the confusion matrices (conversations, K, K) of each model, one a seed.
        draws: of the bootstrap.
        against: those of another model, whose score is subtracted.
    """
    stacked = np.stack(models)
    sizes = stacked.sum(axis=(0, 2, 3)) + (0 if against is None else against.sum(axis=(1, 2)))
    counted = sizes > 0
    count = int(counted.sum())
    if count < FEWEST:
        return {}
    stacked = stacked[:, counted]
    drawn, values = bootstrap(list(stacked), draws), _values(stacked)
    if against is not None:
        other = against[None, counted]
        theirs, their_values = bootstrap(list(other), draws), _values(other)
        drawn = {name: drawn[name] - theirs[name] for name in SCORES}
        values = {name: values[name] - their_values[name] for name in SCORES}
    lowest = 0.0 if against is None else -1.0
    like = float(sizes[counted].sum() ** 2 / (sizes[counted] ** 2).sum())  # so many of one size say as much
    return {name: _estimate(values[name], drawn[name], count, like, lowest) for name in SCORES}


def _values(models: Ints) -> dict[str, Scores]:
    """Each score of each model, (S,)."""
    together = models.sum(axis=1)
    return {name: score.compute(together) for name, score in SCORES.items()}


def _estimate(values: Scores, drawn: Scores, conversations: int, like: float, lowest: float) -> Estimate:
    """The mean of ``values``, one a seed, with the variance of its draws and of the seeds (Welch 1947)."""
    variances = [float(drawn.var()) * conversations / (conversations - 1)]
    freedoms = [max(1.0, like - 1)]
    if len(values) > 1:
        variances.append(float(values.var(ddof=1)) / len(values))
        freedoms.append(len(values) - 1)
    total = sum(variances)
    parts = sum(variance**2 / freedom for variance, freedom in zip(variances, freedoms, strict=True))
    freedom = total**2 / parts if parts > 0 else freedoms[0]
    return Estimate(float(values.mean()), float(np.sqrt(total)), freedom, conversations, lowest)
