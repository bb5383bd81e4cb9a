"""How far scores could be off, had other conversations been drawn, or other seeds.

The error of a score comes from the bootstrap by conversation (`sdt_model.metrics.scores`), its interval from Student's
t: the middle of few draws is far too narrow, as the draws of n conversations vary by (n - 1) / n of what n others
would, and as their spread is itself an estimate (Efron and Tibshirani 1993, chapters 12 and 13). Conversations of
unlike sizes count as fewer (Kish 1965), and the seeds' variance is added. So is that of two utterances, judged
otherwise: models that agree on each of few utterances are not shown to be equal (Agresti and Min 2005). Draws that
are skewed, as where a model is rarely worse but then by much, are allowed for where that widens (Hall 1992). With
fewer than `FEWEST` conversations nothing is said: whatever it is, it would be of these conversations alone.
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
    skewness: float
    """Of what it would have been with other conversations; third standardised moment."""
    lowest: float
    """No value is below it, nor above 1."""

    def bound(self, share: float) -> float:
        """The value that the true one is above in at least this ``share`` of cases."""
        if self.lowest == 0 and self.value in (0.0, 1.0):
            # All right, or all wrong: the errors that were not met are bounded by how many conversations met none.
            miss = float(1 - min(share, 1 - share) ** (1 / self.conversations))
            return self.value - (miss if self.value else -miss) * ((share > 0.5) == bool(self.value))
        outer = max if share > 0.5 else min
        quantile = float(stdtrit(self.freedom, share))
        bound = self.value - outer(quantile, self._skewed(quantile)) * self.error
        return min(1.0, max(self.lowest, bound))

    @property
    def interval(self) -> Interval:
        """Of 95%."""
        return Interval(low=self.bound(0.975), high=self.bound(0.025))

    @property
    def p(self) -> float:
        """Two-sided: how likely a value so far from 0 is where the true one is 0."""
        distance = abs(self.value) / self.error
        skewness = self.skewness if self.value > 0 else -self.skewness
        hall = distance + skewness * (distance**2 / 3 + 1 / 6) + skewness**2 * distance**3 / 27
        return float(2 * stdtr(self.freedom, -max(0.0, min(distance, hall))))

    def _skewed(self, quantile: float) -> float:
        """The quantile by Hall's transformation, whose inverse `p` has: where the value's distribution has a skew."""
        if abs(self.skewness) < 1e-6:
            return quantile
        return float(3 / self.skewness * (np.cbrt(1 + self.skewness * (quantile - self.skewness / 6)) - 1))


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
    utterances = int(stacked[0].sum())
    return {name: _estimate(values[name], drawn[name], (count, utterances, like), lowest) for name in SCORES}


def _values(models: Ints) -> dict[str, Scores]:
    """Each score of each model, (S,)."""
    together = models.sum(axis=1)
    return {name: score.compute(together) for name, score in SCORES.items()}


def _estimate(values: Scores, drawn: Scores, counts: tuple[int, int, float], lowest: float) -> Estimate:
    """The mean of ``values``, one a seed, with the variance of its draws and of the seeds (Welch 1947).

    Args:
        values: the score of each seed's model.
        drawn: their mean in each draw.
        counts: conversations, utterances, and how many conversations of one size say as much.
        lowest: that the score can be.
    """
    conversations, utterances, like = counts
    sampling = float(drawn.var()) * conversations / (conversations - 1)
    variances = [sampling + 2 / utterances**2]
    freedoms = [max(1.0, like - 1)]
    if len(values) > 1:
        variances.append(float(values.var(ddof=1)) / len(values))
        freedoms.append(len(values) - 1)
    total = sum(variances)
    freedom = total**2 / sum(variance**2 / freedom for variance, freedom in zip(variances, freedoms, strict=True))
    third = float(((drawn - drawn.mean()) ** 3).mean()) * (conversations / (conversations - 1)) ** 1.5
    return Estimate(float(values.mean()), float(np.sqrt(total)), freedom, conversations, third / total**1.5, lowest)
