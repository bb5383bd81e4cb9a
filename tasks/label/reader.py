"""The days of an utterance shard, one after another, with their features: the shard is read once for all of them.

Where one day alone is asked for, the row groups in which it lies are read, as they are for any choice of days.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from sdt_model.conversations import Ints
from tasks.archive.days import conversation_days
from tasks.features.reader import FeatureFolder, ShardFeatures, read_shard
from tasks.storage.manifest import ShardRecord
from tasks.storage.workspace import Workspace


@dataclass(frozen=True)
class _Held:
    """What was read last: some days of a shard, and the rows of each."""

    path: str
    days: frozenset[str]
    features: ShardFeatures
    rows: dict[str, Ints]


class DayReader:
    """Reads features of days; holds those of one utterance shard."""

    def __init__(self, workspace: Workspace, folders: Sequence[FeatureFolder], emotions: tuple[str, ...]) -> None:
        self._workspace, self._folders, self._emotions = workspace, list(folders), emotions
        self._held: _Held | None = None

    def read(self, record: ShardRecord, day: str, days: frozenset[str]) -> ShardFeatures:
        """One day of a shard; ``days``: all that will be asked for of it, this one among them."""
        held = self._held
        if held is None or (held.path, held.days) != (record.path, days):
            self._held = None  # not two shards at a time
            self._held = held = self._read(record, days)
        rows = held.rows.get(day, np.arange(0))
        return held.features if len(rows) == held.features.utterances.height else held.features.some(rows)

    def _read(self, record: ShardRecord, days: frozenset[str]) -> _Held:
        def chosen(utterances: pl.DataFrame) -> pl.Series:
            return conversation_days(utterances).is_in(sorted(days))

        features = read_shard(self._workspace, record, self._folders, self._emotions, chosen)
        there = features.utterances.select(day=conversation_days(features.utterances)).with_row_index()
        rows = {
            day: part["index"].to_numpy().astype(np.int64)
            for (day,), part in there.partition_by("day", as_dict=True).items()
        }
        return _Held(record.path, days, features, rows)
