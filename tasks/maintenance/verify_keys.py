"""Keys (conversation, turn) of an archive's files: what is wrong with them, in words.

A check is a function of the keys of one file; what it compares them with is read once and shared by its threads.
"""

from collections.abc import Callable
from threading import Lock

import polars as pl
import pyarrow as pa

from tasks.archive.days import conversation_days
from tasks.archive.schema import KEY
from tasks.archive.sharding import shard_of
from tasks.errors import DamagedFile
from tasks.storage.manifest import ShardRecord
from tasks.storage.workspace import Workspace

UNREADABLE = (DamagedFile, OSError, pa.ArrowException, KeyError, ValueError)  # raised by a damaged Parquet file

KeyCheck = Callable[[pl.DataFrame], list[str]]


def unique_keys(keys: pl.DataFrame) -> list[str]:
    """Check that no key stands twice."""
    duplicates = keys.filter(keys.is_duplicated()).unique(maintain_order=True)
    return [f"{duplicates.height} keys stand twice, such as {_first(duplicates)}"] if duplicates.height else []


def placed_keys(index: int, count: int, keys: pl.DataFrame) -> list[str]:
    """Check that every conversation is in the shard of its id, so that no key stands in two."""
    elsewhere = [name for name in keys["conversation_id"].unique().sort() if shard_of(name, count) != index]
    return unique_keys(keys) + (
        [f"{len(elsewhere)} conversations belong to another shard, such as {elsewhere[0]!r}"] if elsewhere else []
    )


def same_keys(workspace: Workspace, utterances: ShardRecord, keys: pl.DataFrame) -> list[str]:
    """Check that the keys are those of an utterance shard."""
    return _compared(keys, _rows(workspace, utterances, list(KEY)), utterances.path)


class DayKeys:
    """Keys of the utterance shards that were read last, by day."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace, self._lock = workspace, Lock()
        self._shards: dict[str, dict[str, pl.DataFrame] | None] = {}

    def compared(self, utterances: ShardRecord, day: str, keys: pl.DataFrame) -> list[str]:
        """Check that the keys are those of an utterance shard's day."""
        days = self._days(utterances)
        return _compared(keys, None if days is None else days.get(day, keys.clear()), utterances.path)

    def _days(self, utterances: ShardRecord) -> dict[str, pl.DataFrame] | None:
        with self._lock:  # the others wait for what one of them reads
            if utterances.path not in self._shards:
                for path in list(self._shards)[:-1]:  # the threads are at two shards at most
                    del self._shards[path]
                self._shards[utterances.path] = self._read(utterances)
            return self._shards[utterances.path]

    def _read(self, utterances: ShardRecord) -> dict[str, pl.DataFrame] | None:
        rows = _rows(self._workspace, utterances, [*KEY, "occurred_at"])
        if rows is None:
            return None
        by_day = rows.select(*KEY, conversation_days(rows).alias("day")).partition_by(
            "day", as_dict=True, include_key=False
        )
        return {str(day): part for (day,), part in by_day.items()}


def _rows(workspace: Workspace, utterances: ShardRecord, columns: list[str]) -> pl.DataFrame | None:
    """Read columns of an utterance shard; None where it is damaged, which its own check reports."""
    try:
        rows = pl.DataFrame(pl.from_arrow(workspace.read_table(utterances.path, columns)))
    except UNREADABLE:
        return None
    return rows if rows.columns == columns else None


def _compared(keys: pl.DataFrame, utterances: pl.DataFrame | None, path: str) -> list[str]:
    """Compare keys with those of the utterances in ``path``, which are None where that file is damaged."""
    if utterances is None:
        return [*unique_keys(keys), f"it could not be compared with {path}"]
    missing = utterances.join(keys, on=KEY, how="anti", maintain_order="left")
    surplus = keys.join(utterances, on=KEY, how="anti", maintain_order="left")
    return [
        *unique_keys(keys),
        *([f"{missing.height} utterances have no row, such as {_first(missing)}"] if missing.height else []),
        *([f"{surplus.height} rows are of no utterance, such as {_first(surplus)}"] if surplus.height else []),
    ]


def _first(keys: pl.DataFrame) -> str:
    """Write the first key as a person would."""
    name, turn = keys.select(KEY).row(0)
    return f"{name!r} turn {turn}"
