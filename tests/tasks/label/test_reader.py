"""Days of a made archive, read through the holder and alone."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tasks.archive.days import conversation_days
from tasks.archive.layout import features_folder
from tasks.config.date_range import UNDATED
from tasks.errors import WorkflowError
from tasks.features.reader import FeatureFolder, ShardFeatures, read_shard
from tasks.label.reader import DayReader
from tasks.storage.manifest import Manifest
from tasks.storage.workspace import Workspace
from tests.fixtures import archives as made

DAYS = frozenset({"2026-03-01", "2026-03-02", UNDATED})


@pytest.fixture
def archive(workspace: Workspace) -> Manifest:
    return made.archive(workspace, shards=2)  # each holds every day


def folders() -> Iterator[FeatureFolder]:
    for modality in made.MODALITIES:
        spec = made.extractor_spec(modality, made.ExtractorNames().of(modality))
        yield FeatureFolder(modality, spec.dim, features_folder("made", modality, spec.fingerprint))


def reader(workspace: Workspace) -> DayReader:
    return DayReader(workspace, tuple(folders()), made.EMOTIONS)


def same(one: ShardFeatures, other: ShardFeatures) -> bool:
    arrays = [
        [*found.features.values(), found.present, found.speaker, found.label, found.offset]
        for found in (one.conversations, other.conversations)
    ]
    return (
        one.utterances.equals(other.utterances)
        and all(one.reasons[name].equals(why, check_names=True) for name, why in other.reasons.items())
        and all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in zip(*arrays, strict=True))
    )


def test_a_day_is_as_if_it_were_read_alone(workspace: Workspace, archive: Manifest) -> None:
    days = reader(workspace)
    for record in archive.shards:
        for day in sorted(DAYS):
            alone = read_shard(
                workspace, record, list(folders()), made.EMOTIONS, lambda rows, day=day: conversation_days(rows) == day
            )
            assert alone.utterances.height > 0 and same(days.read(record, day, DAYS), alone)
            assert same(reader(workspace).read(record, day, frozenset({day})), alone)


def test_a_shard_is_read_once_for_its_days(workspace: Workspace, archive: Manifest) -> None:
    days, record = reader(workspace), archive.shards[0]
    days.read(record, UNDATED, DAYS)
    Path(workspace.path(record.path)).unlink()
    assert days.read(record, "2026-03-01", DAYS).utterances.height > 0
    with pytest.raises(WorkflowError, match=r"is not there.*\n  make it anew with: sdt ingest"):
        days.read(record, "2026-03-01", DAYS - {UNDATED})


def test_a_day_that_a_shard_has_nothing_of_is_empty(workspace: Workspace, archive: Manifest) -> None:
    found = reader(workspace).read(archive.shards[0], "2026-03-09", DAYS | {"2026-03-09"})
    assert found.utterances.height == 0 and found.conversations.lengths.size == 0
