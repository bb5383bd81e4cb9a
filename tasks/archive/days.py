"""The days of an archive: which conversations belong to which, and whether a day's are still the same.

A conversation belongs, whole, to the UTC day of its earliest utterance: also what is said past midnight, and also what
arrives later. Ingest notes for each shard how many utterances of each day it holds and a sum of their hashes; such
sums add up, so a day's content is the same however its conversations are shared out among shards.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl
import pyarrow as pa

from tasks.archive.schema import KEY, UTTERANCES
from tasks.config.date_range import UNDATED
from tasks.errors import WorkflowError
from tasks.storage.manifest import ShardRecord

DAYS = "days"  # in a shard's facts: for each day its rows and their content
_SAID = [name for name in UTTERANCES.names if name not in ("emotion", "split")]  # annotations change no label
_SUMS = 2**128


@dataclass(frozen=True)
class DayContent:
    """What some shards hold of one day."""

    rows: int = 0
    content: int = 0

    def __add__(self, other: "DayContent") -> "DayContent":
        return DayContent(self.rows + other.rows, (self.content + other.content) % _SUMS)


def conversation_days(utterances: pl.DataFrame) -> pl.Series:
    """For each utterance the day on which its conversation began, as ISO text; `UNDATED` where that is unknown."""
    began = pl.col("occurred_at").min().over("conversation_id")
    return utterances.select(began.dt.date().dt.to_string("iso").fill_null(UNDATED)).to_series()


def said_by_day(utterances: pl.DataFrame) -> dict[str, dict[str, object]]:
    """The fact `DAYS` of an utterance shard."""
    return _by_day(conversation_days(utterances), utterances.select(_SAID))


def found_by_day(utterances: pa.Table, features: pa.Table) -> dict[str, dict[str, object]]:
    """The fact `DAYS` of a feature shard: what the vectors were made from, and why there is none."""
    there = {"vector": features["vector"].is_valid()} | {name: features[name] for name in ("reason", "made_from")}
    found = pl.DataFrame({name: features[name] for name in KEY} | there)
    found = found.with_columns(pl.col("made_from").bin.encode("hex"))
    days = conversation_days(pl.DataFrame(pl.from_arrow(utterances.select(["conversation_id", "occurred_at"]))))
    told = found["vector"] | found["reason"].is_not_null()
    return _by_day(days.filter(told), found.filter(told))


def days_of(shards: Iterable[ShardRecord]) -> dict[str, DayContent]:
    """The shards' days, added up; shards made before days were noted have none."""
    days: dict[str, DayContent] = defaultdict(DayContent)
    for shard in shards:
        for day, noted in shard.facts.get(DAYS, {}).items():
            days[day] += DayContent(noted["rows"], int(noted["content"], 16))
    return dict(days)


def checked_days(archive: str, shards: Iterable[ShardRecord]) -> None:
    """Raises: WorkflowError: the archive was ingested before days were noted."""
    if any(DAYS not in shard.facts for shard in shards):
        raise WorkflowError(
            f"archive {archive!r} was ingested by an earlier version, which did not note the days' contents\n"
            "  run the same `sdt ingest` again, then `sdt extract`"
        )


def _by_day(days: pl.Series, rows: pl.DataFrame) -> dict[str, dict[str, object]]:
    written = rows.select(pl.struct(pl.all()).struct.json_encode().alias("row"), pl.lit(days).alias("day"))
    found = {}
    for (day,), part in sorted(written.partition_by("day", as_dict=True).items()):
        hashes = (hashlib.sha256(row.encode()).digest()[:16] for row in part["row"])
        content = sum(map(int.from_bytes, hashes)) % _SUMS
        found[day] = {"rows": part.height, "content": f"{content:032x}"}
    return found
