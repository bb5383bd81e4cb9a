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
class _ShardDays:
    """Some days of a shard, and the rows of each."""

    path: str
    days: frozenset[str]
    features: ShardFeatures
    rows: dict[str, Ints]


class DayReader:
    """Reads features of days, and remembers those of one utterance shard."""

    def __init__(self, workspace: Workspace, folders: Sequence[FeatureFolder], emotions: tuple[str, ...]) -> None:
        self._workspace, self._folders, self._emotions = workspace, list(folders), emotions
        self._latest: _ShardDays | None = None

    def read(self, record: ShardRecord, day: str, days: frozenset[str]) -> ShardFeatures:
        """One day of a shard; ``days``: all that will be asked for of it, this one among them."""
        latest = self._latest
        if latest is None or (latest.path, latest.days) != (record.path, days):
            self._latest = None  # not two shards at a time
            self._latest = latest = self._read(record, days)
        rows = latest.rows.get(day, np.arange(0))
        return latest.features if len(rows) == latest.features.utterances.height else latest.features.some(rows)

    def _read(self, record: ShardRecord, days: frozenset[str]) -> _ShardDays:
        def chosen(utterances: pl.DataFrame) -> pl.Series:
            return conversation_days(utterances).is_in(sorted(days))

        features = read_shard(self._workspace, record, self._folders, self._emotions, chosen)
        numbered = features.utterances.select(day=conversation_days(features.utterances)).with_row_index()
        rows = {
            day: part["index"].to_numpy().astype(np.int64)
            for (day,), part in numbered.partition_by("day", as_dict=True).items()
        }
        return _ShardDays(record.path, days, features, rows)
