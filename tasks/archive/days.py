"""The days of an archive: which conversations belong to which, and whether a day's are still the same.

A conversation belongs, whole, to the UTC day of its earliest utterance: also what is said past midnight, and also what
arrives later. Ingest notes for each shard how many utterances of each day are in it and a sum of their hashes; such
sums add up, so a day's content is the same however its conversations are shared out among shards.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable

import polars as pl
import pyarrow as pa

from tasks.archive.facts import DatedShardFacts, DayContent
from tasks.archive.schema import KEY, UTTERANCES
from tasks.config.date_range import UNDATED
from tasks.errors import WorkflowError
from tasks.storage.manifest import ShardRecord

_LABELLED_FROM = [name for name in UTTERANCES.names if name not in ("emotion", "split")]  # annotations change no label
_SUMS = 2**128


def conversation_days(utterances: pl.DataFrame) -> pl.Series:
    """For each utterance the day on which its conversation began, as ISO text; `UNDATED` where that is unknown."""
    began = pl.col("occurred_at").min().over("conversation_id")
    return utterances.select(began.dt.date().dt.to_string("iso").fill_null(UNDATED)).to_series()


def utterance_days(utterances: pl.DataFrame) -> dict[str, DayContent]:
    """What the utterances of a shard say on each day; annotations are no part of it."""
    return _by_day(conversation_days(utterances), utterances.select(_LABELLED_FROM))


def feature_days(utterances: pa.Table, features: pa.Table) -> dict[str, DayContent]:
    """What the vectors of each day in a feature shard were made from, and why there is none."""
    columns = {"vector": features["vector"].is_valid()} | {name: features[name] for name in ("reason", "made_from")}
    rows = pl.DataFrame({name: features[name] for name in KEY} | columns)
    rows = rows.with_columns(pl.col("made_from").bin.encode("hex"))
    days = conversation_days(pl.DataFrame(pl.from_arrow(utterances.select(["conversation_id", "occurred_at"]))))
    answered = rows["vector"] | rows["reason"].is_not_null()
    return _by_day(days.filter(answered), rows.filter(answered))


def days_of(shards: Iterable[ShardRecord]) -> dict[str, DayContent]:
    """The days of utterance or feature shards, added up; shards made before days were noted have none."""
    return sum_days(map(DatedShardFacts.of, shards))


def sum_days(shards: Iterable[DatedShardFacts]) -> dict[str, DayContent]:
    """The days of shards, added up, where their facts are read already."""
    rows: dict[str, int] = defaultdict(int)
    sums: dict[str, int] = defaultdict(int)
    for shard in shards:
        for day, part in (shard.days or {}).items():
            rows[day] += part.rows
            sums[day] += part.content
    return {day: DayContent(rows=rows[day], content=sums[day] % _SUMS) for day in rows}


def check_days_noted(archive: str, shards: Iterable[DatedShardFacts]) -> None:
    """Raises: WorkflowError: the archive was ingested before days were noted."""
    if any(shard.days is None for shard in shards):
        raise WorkflowError(
            f"archive {archive!r} was ingested by an earlier version, which did not note the days' contents\n"
            "  run the same `sdt ingest` again, then `sdt extract`"
        )


def _by_day(days: pl.Series, rows: pl.DataFrame) -> dict[str, DayContent]:
    # Each row as JSON beside its day; a day's content is the sum of its rows' hashes, in which order does not count.
    written = rows.select(pl.struct(pl.all()).struct.json_encode().alias("row"), pl.lit(days).alias("day"))
    contents = {}
    for (day,), part in sorted(written.partition_by("day", as_dict=True).items()):
        hashes = (hashlib.sha256(row.encode()).digest()[:16] for row in part["row"])
        contents[str(day)] = DayContent(rows=part.height, content=sum(map(int.from_bytes, hashes)) % _SUMS)
    return contents
