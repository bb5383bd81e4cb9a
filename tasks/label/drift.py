"""Drift: whether the emotions of a period are distributed as they were in training, and in the days before."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from sdt_model.bundle import Bundle
from sdt_model.config import Frozen
from tasks.archive.facts import LabelFacts
from tasks.config.date_range import UNDATED, DateRange
from tasks.label.rows import emotion_counts
from tasks.storage.manifest import Manifest

Counts = Mapping[str, int]
_FEWEST = 100  # utterances on either side; fewer differ by chance alone
_NIGHTS = 7


def population_stability_index(before: Counts, now: Counts) -> float:
    """Population stability index of two count tables.

    Adds 0.5 to every count so that an emotion missing on one side stays finite. It is the sum over emotions of
    (n - b) ln(n / b), for shares n now and b before: 0 where they are equal, and the same in both directions.
    """
    names = sorted(before.keys() | now.keys())
    pairs = zip(_shares(before, names), _shares(now, names), strict=True)
    return sum((n - b) * math.log(n / b) for b, n in pairs)


def _shares(counts: Counts, names: Sequence[str]) -> list[float]:
    raised = [counts.get(name, 0) + 0.5 for name in names]
    return [count / sum(raised) for count in raised]


class DriftStatistic(NamedTuple):
    """How far two distributions of emotions lie apart, as one number."""

    compute: Callable[[Counts, Counts], float]
    """From the counts by emotion before, and those now."""
    label: str
    """What people call it."""
    threshold: float
    """Past it someone should look."""


DRIFT_STATISTICS = {
    # The threshold is that of Siddiqi 2006, "Credit Risk Scorecards".
    "psi": DriftStatistic(population_stability_index, "stability index", 0.2),
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

    @property
    def label(self) -> str:
        """What people call the statistic."""
        return DRIFT_STATISTICS[self.statistic].label

    @property
    def warns(self) -> bool:
        """Whether someone should look at it."""
        return self.value > DRIFT_STATISTICS[self.statistic].threshold


def drifts(
    bundle: Bundle, period: DateRange, emotions: Mapping[str, int], labelled: Mapping[str, Manifest]
) -> tuple[Drift, ...]:
    """Compare a period's labels with what the model was trained on, and with the last seven labelled days before it.

    Args:
        bundle: the model that labelled.
        period: the days that were labelled.
        emotions: how many of their utterances got each emotion.
        labelled: the manifest of every labelled day, by its name.

    Returns:
        Each statistic of each comparison with at least 100 utterances on either side.
    """
    known = set(bundle.emotions)
    earlier = [
        emotion_counts(labelled[day].counts)
        for day in sorted(labelled.keys() - {UNDATED}, reverse=True)
        if period.since and day < period.since.isoformat() and set(LabelFacts.of(labelled[day]).emotions) == known
    ][:_NIGHTS]
    nights: Counter[str] = sum(earlier, Counter())
    others = {"what the model was trained on": bundle.annotated, f"the {len(earlier)} days before": nights}
    return tuple(
        Drift(against=against, statistic=name, value=statistic.compute(counts, emotions))
        for against, counts in others.items()
        for name, statistic in DRIFT_STATISTICS.items()
        if min(sum(counts.values()), sum(emotions.values())) >= _FEWEST
    )
