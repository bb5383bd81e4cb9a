"""Which days of an archive to label: what each holds, and whose labels are out of date."""

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tasks.archive.days import check_days_noted, days_of, sum_days
from tasks.archive.facts import DatedShardFacts, DayContent, LabelFacts
from tasks.config.date_range import UNDATED
from tasks.config.stages import LabelConfig
from tasks.errors import WorkflowError
from tasks.storage.manifest import Manifest, ShardRecord, fingerprint

log = logging.getLogger("sdt.label")


@dataclass(frozen=True)
class Day:
    """One day of an archive: its name as a partition, and what there is to label."""

    name: str
    rows: int
    content: str
    """Changes with the day's utterances, and with which of them have a vector; with no other day's."""
    shards: tuple[ShardRecord, ...]
    """Utterance shards that hold some of it."""


def archive_days(archive: Manifest, name: str, features: Iterable[Manifest | None]) -> dict[str, Day]:
    """The days of an archive in order, what has no date last.

    ``features`` are the manifests of a model's modalities, None where the archive has nothing of one.

    Raises:
        WorkflowError: the archive was ingested before days were noted.
    """
    facts = [DatedShardFacts.of(shard) for shard in archive.shards]
    check_days_noted(name, facts)
    utterances = sum_days(facts)
    vectors = [days_of(manifest.shards) if manifest else {} for manifest in features]
    shards: dict[str, list[ShardRecord]] = defaultdict(list)
    for shard, noted in zip(archive.shards, facts, strict=True):
        for day in noted.days or ():
            shards[day].append(shard)
    days = {}
    for day in sorted(utterances, key=lambda day: (day == UNDATED, day)):
        content = fingerprint(utterances[day].content, [of.get(day, DayContent()).content for of in vectors])
        days[day] = Day(day, utterances[day].rows, content, tuple(shards[day]))
    return days


def check_dated(archive: Manifest, name: str) -> None:
    """Point out what no run of a day labels.

    Raises:
        WorkflowError: that is the whole archive.
    """
    days = days_of(archive.shards)
    if UNDATED not in days:
        return
    message = f"archive {name!r} has {days[UNDATED].rows} utterances in conversations without a time (`occurred_at`)"
    if len(days) == 1:
        raise WorkflowError(
            f"{message}, and no others: there is no day to label\n"
            f"  label them with: sdt label {name}; or bring them in as a table with times"
        )
    log.warning("label: %s: no night labels them; sdt label %s does", message, name)


def chosen_days(config: LabelConfig, days: Mapping[str, Day], labelled: Mapping[str, Manifest]) -> list[Day]:
    """The days of the period, and of those looked back to the ones whose labels are out of date."""
    return [
        day
        for name, day in days.items()
        if config.period.contains(name) or (config.reach.contains(name) and out_of_date(day, labelled.get(name)))
    ]


def out_of_date(day: Day | None, manifest: Manifest | None) -> str | None:
    """Why a day's labels are not those of its conversations; None where they are, whichever model made them."""
    if day is None:
        return "it has no conversations any more"
    if manifest is None:
        return "never labelled"
    return None if LabelFacts.of(manifest).content == day.content else "its conversations changed"


def all_out_of_date(days: Mapping[str, Day], labelled: Mapping[str, Manifest]) -> dict[str, str]:
    """The days whose labels are not those of their conversations, and why."""
    names = sorted({*days, *labelled}, key=lambda day: (day == UNDATED, day))
    reasons = {name: out_of_date(days.get(name), labelled.get(name)) for name in names}
    return {name: why for name, why in reasons.items() if why}
