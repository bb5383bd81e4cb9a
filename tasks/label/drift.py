"""Whether labels are distributed as they were: the population stability index of one distribution to another.

The sum over emotions of (a - e) ln(a / e), for shares a now and e before; 0 where they are equal, and past 0.2 by
convention a shift that someone should look at (Siddiqi 2006, "Credit Risk Scorecards").
"""

import math
from collections import Counter
from collections.abc import Mapping

from sdt_model.bundle import Bundle
from sdt_model.config import Frozen
from tasks.archive.facts import LabelFacts
from tasks.config.date_range import UNDATED, DateRange
from tasks.label.rows import emotion_counts
from tasks.storage.manifest import Manifest

WARNING = 0.2
_FEWEST = 100  # utterances on either side; fewer differ by chance alone
_NIGHTS = 7


class Drift(Frozen):
    """How far the labels are from another distribution."""

    against: str
    """Which other, in words."""
    index: float
    """Population stability index."""

    @property
    def warns(self) -> bool:
        return self.index > WARNING


def stability_index(expected: Mapping[str, int], found: Mapping[str, int]) -> float:
    """Of two counts by name; half an utterance is added to each, so that a name that is missing from one is finite."""
    names = expected.keys() | found.keys()
    before, now = ({name: counts.get(name, 0) + 0.5 for name in names} for counts in (expected, found))
    totals = sum(before.values()), sum(now.values())
    shares = [(before[name] / totals[0], now[name] / totals[1]) for name in names]
    return sum((a - e) * math.log(a / e) for e, a in shares)


def drifts(
    bundle: Bundle, period: DateRange, emotions: Mapping[str, int], labelled: Mapping[str, Manifest]
) -> tuple[Drift, ...]:
    """Of a period's labels to what the model was trained on, and to the last seven labelled days before the period."""
    known = set(bundle.emotions)
    earlier = [
        emotion_counts(labelled[day].counts)
        for day in sorted(labelled.keys() - {UNDATED}, reverse=True)
        if period.since and day < period.since.isoformat() and set(LabelFacts.of(labelled[day]).emotions) == known
    ][:_NIGHTS]
    nights: Counter[str] = sum(earlier, Counter())
    others = {"what the model was trained on": bundle.annotated, f"the {len(earlier)} days before": nights}
    return tuple(
        Drift(against=name, index=stability_index(counts, emotions))
        for name, counts in others.items()
        if min(sum(counts.values()), sum(emotions.values())) >= _FEWEST
    )
