"""Some days of an utterance shard with their features, read at once.

The row groups in which they lie are read; where one day alone is asked for, those are few.
"""

from collections.abc import Collection, Sequence

import polars as pl

from tasks.archive.days import conversation_days
from tasks.features.reader import FeatureFolder, ShardFeatures, read_shard
from tasks.storage.manifest import ShardRecord
from tasks.storage.workspace import Workspace


def read_days(
    workspace: Workspace,
    record: ShardRecord,
    folders: Sequence[FeatureFolder],
    emotions: tuple[str, ...],
    days: Collection[str],
) -> tuple[ShardFeatures, pl.Series]:
    """The conversations of some days of a shard, and (N,) the day of each of their utterances.

    Args:
        workspace: where they lie.
        record: the utterance shard.
        folders: of the features.
        emotions: the model's.
        days: that are wanted.
    """

    def chosen(utterances: pl.DataFrame) -> pl.Series:
        return conversation_days(utterances).is_in(sorted(days))

    features = read_shard(workspace, record, list(folders), emotions, chosen)
    return features, features.utterances.select(day=conversation_days(features.utterances)).to_series()
