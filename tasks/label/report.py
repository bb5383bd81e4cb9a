"""What a labelling run reports: counts of its days' labels, how far they are from others, what is out of date."""

from collections import Counter
from collections.abc import Iterable, Mapping

from pydantic import Field

from sdt_model.bundle import Bundle
from sdt_model.config import Frozen
from tasks.archive.layout import labels_folder
from tasks.config.date_range import DateRange
from tasks.config.stages import LabelConfig
from tasks.label.days import Day
from tasks.label.drift import Drift, drifts
from tasks.label.rows import emotion_counts
from tasks.storage.manifest import Manifest


class LabelReport(Frozen):
    """What a labelling run made."""

    rows: int
    """Label rows of these days; one per utterance."""
    ok: int = Field(ge=0)
    """Labelled from every modality of the model."""
    degraded: int = Field(ge=0)
    """Labelled from some of them."""
    failed: int = Field(ge=0)
    """Nothing to label from; the row says why."""
    emotions: dict[str, int]
    """How many utterances got each emotion."""
    model_id: str
    """The model that labelled."""
    folder: str
    """Where the labels are, relative to the workspace."""
    period: DateRange
    """The days that were asked for."""
    days: dict[str, int]
    """Label rows of each day that was asked for, or looked back to and out of date."""
    new_days: tuple[str, ...]
    """Those of them whose labels were made in this run; the others were there."""
    outdated: dict[str, str]
    """Days whose labels are not those of their conversations, and why: they were not asked for."""
    drifts: tuple[Drift, ...] = ()
    """How far the emotions are from what the model says of held-out conversations, and from the days before."""


def label_report(
    config: LabelConfig,
    bundle: Bundle,
    chosen: Iterable[Day],
    labelled: Mapping[str, Manifest],
    new_days: tuple[str, ...],
    outdated: dict[str, str],
) -> LabelReport:
    """Add up the labels of the chosen days.

    Args:
        config: the archive and the days that were asked for.
        bundle: the model.
        chosen: the days whose labels count.
        labelled: the manifest of every labelled day of the archive, the chosen ones among them.
        new_days: the days that this run labelled.
        outdated: the days whose labels are not those of their conversations, and why.
    """
    days = {day.name: day.rows for day in chosen}
    counts: Counter[str] = Counter()
    for name in days:
        counts.update(labelled[name].counts)
    by_emotion = emotion_counts(counts)
    emotions = {emotion: by_emotion[emotion] for emotion in bundle.emotions}
    return LabelReport(
        rows=sum(days.values()),
        ok=counts["ok"],
        degraded=counts["degraded"],
        failed=counts["failed"],
        emotions=emotions,
        model_id=bundle.model_id,
        folder=labels_folder(config.archive),
        period=config.period,
        days=days,
        new_days=new_days,
        outdated=outdated,
        drifts=drifts(bundle, config.period, counts, labelled),
    )
