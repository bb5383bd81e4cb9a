"""Days of a made archive, read together and alone."""

import numpy as np
import polars as pl
import pytest

from tasks.config.date_range import UNDATED
from tasks.features.reader import ShardFeatures
from tasks.label.reader import read_days
from tasks.storage.manifest import Manifest, ShardRecord
from tasks.storage.workspace import Workspace
from tests.fixtures import archives as made

DAYS = ["2026-03-01", "2026-03-02", UNDATED]


@pytest.fixture
def archive(workspace: Workspace) -> Manifest:
    return made.archive(workspace, shards=2)  # each holds every day


def read(workspace: Workspace, record: ShardRecord, *days: str) -> tuple[ShardFeatures, pl.Series]:
    return read_days(workspace, record, made.feature_folders(), made.EMOTIONS, days)


def test_a_day_is_as_if_it_were_read_alone(workspace: Workspace, archive: Manifest) -> None:
    for record in archive.shards:
        whole, days = read(workspace, record, *DAYS)
        assert days.len() == whole.utterances.height == record.rows
        for day in DAYS:
            alone, its_day = read(workspace, record, day)
            rows = np.flatnonzero((days == day).to_numpy())
            assert 0 < its_day.len() < days.len() and set(its_day) == {day}
            assert alone.utterances.equals(whole.utterances[rows])
            for m, (modality, vectors) in enumerate(alone.conversations.features.items()):
                np.testing.assert_array_equal(vectors, whole.conversations.features[modality][rows])
                np.testing.assert_array_equal(alone.conversations.present[m], whole.conversations.present[m, rows])
                assert alone.reasons[modality].equals(whole.reasons[modality][rows])
            np.testing.assert_array_equal(alone.conversations.speaker, whole.conversations.speaker[rows])


def test_a_day_that_a_shard_has_nothing_of_is_empty(workspace: Workspace, archive: Manifest) -> None:
    found, days = read(workspace, archive.shards[0], "2026-03-09")
    assert found.utterances.height == days.len() == found.conversations.lengths.size == 0
