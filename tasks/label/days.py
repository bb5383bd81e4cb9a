"""Which days of an archive to label: what each holds, and whose labels are out of date."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tasks.archive.days import DAYS, DayContent, checked_days, days_of
from tasks.config.date_range import UNDATED
from tasks.config.stages import LabelConfig
from tasks.errors import WorkflowError
from tasks.storage.manifest import Manifest, ShardRecord, fingerprint

log = logging.getLogger("sdt.label")

CONTENT = "content"  # in the facts of a day's manifest: the day that its labels were made from


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
    checked_days(name, archive.shards)
    said = days_of(archive.shards)
    found = [days_of(manifest.shards) if manifest else {} for manifest in features]
    days = {}
    for day in sorted(said, key=lambda day: (day == UNDATED, day)):
        content = fingerprint(said[day].content, [of.get(day, DayContent()).content for of in found])
        shards = tuple(shard for shard in archive.shards if day in shard.facts[DAYS])
        days[day] = Day(day, said[day].rows, content, shards)
    return days


def check_dated(archive: Manifest, name: str) -> None:
    """Point out what no run of a day labels.

    Raises:
        WorkflowError: that is the whole archive.
    """
    found = days_of(archive.shards)
    if UNDATED not in found:
        return
    said = f"archive {name!r} has {found[UNDATED].rows} utterances in conversations without a time (`occurred_at`)"
    if len(found) == 1:
        raise WorkflowError(
            f"{said}, and no others: there is no day to label\n"
            f"  label them with: sdt label {name}; or bring them in as a table with times"
        )
    log.warning("label: %s: no night labels them; sdt label %s does", said, name)


def chosen_days(config: LabelConfig, days: Mapping[str, Day], labelled: Mapping[str, Manifest]) -> list[Day]:
    """The days of the period, and of those looked back to the ones whose labels are out of date."""
    return [
        day
        for name, day in days.items()
        if config.period.holds(name) or (config.reach.holds(name) and out_of_date(day, labelled.get(name)))
    ]


def out_of_date(day: Day | None, manifest: Manifest | None) -> str | None:
    """Why a day's labels are not those of its conversations; None where they are, whichever model made them."""
    if day is None:
        return "it has no conversations any more"
    if manifest is None:
        return "never labelled"
    return None if manifest.facts.get(CONTENT) == day.content else "its conversations changed"


def all_out_of_date(days: Mapping[str, Day], labelled: Mapping[str, Manifest]) -> dict[str, str]:
    """The days whose labels are not those of their conversations, and why."""
    names = sorted({*days, *labelled}, key=lambda day: (day == UNDATED, day))
    found = {name: out_of_date(days.get(name), labelled.get(name)) for name in names}
    return {name: why for name, why in found.items() if why}
