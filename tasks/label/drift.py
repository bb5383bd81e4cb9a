"""Drift: whether a model finds the emotions of a period as it found those that it was not trained on, or lately.

Labels are compared with labels of the same model, never with annotations: what it says and what is true differ also
where nothing drifts. Conversations are counted, each as 1 with its emotions' shares of it, as the utterances of one are
alike: the count of utterances would promise more than there is.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from sdt_model.bundle import Bundle
from sdt_model.config import Frozen
from tasks.archive.facts import LabelFacts
from tasks.config.date_range import UNDATED, DateRange
from tasks.label.rows import conversation_counts
from tasks.storage.manifest import Manifest

Counts = Mapping[str, float]
FEWEST = 20
"""Conversations on either side; fewer differ by chance alone."""
_NIGHTS = 7
_SELDOM = 2.326  # standard normal; 1% of values are above it


def population_stability_index(before: Counts, now: Counts) -> float:
    """Population stability index of two count tables.

    Adds 0.5 to every count so that an emotion missing on one side stays finite. It is the sum over emotions of
    (n - b) ln(n / b), for shares n now and b before: 0 where they are equal, and the same in both directions.
    """
    names = sorted(before.keys() | now.keys())
    pairs = zip(_shares(before, names), _shares(now, names), strict=True)
    return sum((n - b) * math.log(n / b) for b, n in pairs)


def _shares(counts: Counts, names: Sequence[str]) -> list[float]:
    raised = [counts.get(name, 0.0) + 0.5 for name in names]
    return [count / sum(raised) for count in raised]


def stability_by_chance(before: float, now: float, emotions: int) -> float:
    """What the index of so many conversations before and now exceeds in less than 1% of cases where nothing drifts.

    It is about chi-squared with one degree of freedom less than there are emotions, times 1 / before + 1 / now; its
    quantile is Wilson and Hilferty's (1931).
    """
    freedom = max(1, emotions - 1)
    quantile = freedom * (1 - 2 / (9 * freedom) + _SELDOM * math.sqrt(2 / (9 * freedom))) ** 3
    return quantile * (1 / before + 1 / now)


class DriftStatistic(NamedTuple):
    """How far two distributions of emotions lie apart, as one number."""

    compute: Callable[[Counts, Counts], float]
    """From the conversations by emotion before, and those now."""
    label: str
    """What people call it."""
    threshold: float
    """Past it someone should look, where there are conversations enough."""
    by_chance: Callable[[float, float, int], float] | None = None
    """What it may be by chance: from the conversations before and now, and the number of emotions."""


DRIFT_STATISTICS = {
    # The threshold is that of Siddiqi 2006, "Credit Risk Scorecards".
    "psi": DriftStatistic(population_stability_index, "stability index", 0.2, stability_by_chance),
}
"""Every statistic that labelling reports. To add one, write its function and enter it here."""


class Drift(Frozen):
    """How far the labels lie from another distribution, by one statistic."""

    against: str
    """The other distribution, in words."""
    statistic: str
    """Name in `DRIFT_STATISTICS`."""
    value: float
    """Value of the statistic."""
    threshold: float
    """Past it someone should look: that of the statistic, or what chance alone may make of so few conversations."""

    @property
    def label(self) -> str:
        """What people call the statistic."""
        return DRIFT_STATISTICS[self.statistic].label

    @property
    def warns(self) -> bool:
        """Whether someone should look at it."""
        return self.value > self.threshold


def drifts(
    bundle: Bundle, period: DateRange, counts: Mapping[str, int], labelled: Mapping[str, Manifest]
) -> tuple[Drift, ...]:
    """Compare a period's labels with what the model says of held-out conversations, and with the days before.

    Args:
        bundle: the model that labelled.
        period: the days that were labelled.
        counts: of their label shards, added up (`tasks.label.rows.label_counts`).
        labelled: the manifest of every labelled day, by its name.

    Returns:
        Each statistic of each comparison with at least `FEWEST` conversations on either side. Labels of a version
        before conversations were counted, and models of one before held-out predictions were kept, are not compared.
    """
    known = set(bundle.emotions)
    earlier = [
        conversation_counts(labelled[day].counts)
        for day in sorted(labelled.keys() - {UNDATED}, reverse=True)
        if period.since and day < period.since.isoformat() and set(LabelFacts.of(labelled[day]).emotions) == known
    ][:_NIGHTS]
    nights = {name: sum(day[name] for day in earlier) for name in bundle.emotions}
    now = conversation_counts(counts)
    held_out = bundle.held_out.emotions if bundle.held_out else {}
    others = {"what the model says of held-out conversations": held_out, f"the {len(earlier)} days before": nights}
    return tuple(
        _drift(against, name, before, now, len(known))
        for against, before in others.items()
        for name in DRIFT_STATISTICS
        if min(sum(before.values()), sum(now.values())) >= FEWEST - 0.5  # the shares of each are rounded
    )


def _drift(against: str, name: str, before: Counts, now: Counts, emotions: int) -> Drift:
    statistic = DRIFT_STATISTICS[name]
    chance = statistic.by_chance(sum(before.values()), sum(now.values()), emotions) if statistic.by_chance else 0.0
    return Drift(
        against=against,
        statistic=name,
        value=statistic.compute(before, now),
        threshold=max(statistic.threshold, chance),
    )
