import numpy as np
import pyarrow as pa
import pytest

from tasks.archive.facts import FeatureFacts
from tasks.archive.layout import features_folder, features_path, timing_path
from tasks.archive.schema import TIMING
from tasks.errors import WorkflowError
from tasks.executor.shard import Shard, ShardOutput, run_shard
from tasks.extractors.base import Extracted
from tasks.features.describe import Cost, describe_features
from tasks.features.table import feature_rows
from tasks.storage.manifest import MANIFEST, Manifest
from tasks.storage.workspace import Workspace
from tests.fixtures import archives as made
from tests.fixtures.vectors import vector_lists


@pytest.mark.parametrize("storage", ["float32", "float16"])
def test_the_numbers_are_those_of_all_vectors_together(workspace: Workspace, storage: str) -> None:
    archive = made.archive(workspace, modalities=())
    chance, dim, modality = np.random.default_rng(0), 6, "audio"
    folder = features_folder("made", modality, "f" * 16)
    records, vectors = [], []
    for record in archive.shards:
        utterances = workspace.read_table(record.path)
        values = (1000 + chance.standard_normal((record.rows, dim))).astype(np.float32)
        values[:, 1], values[:, 4] = 0.25, -3
        found = Extracted.none(record.rows, dim)
        kept = list(range(0, record.rows, 2))
        found.put(kept, values[kept])
        for row in range(1, record.rows, 4):
            found.reasons[row] = f"span starts at {row / 7:g} s, past the end"
        table, counts = feature_rows(utterances, found, dim, "x", None, storage)
        output = ShardOutput(table, counts, row_group_size=5)
        path = features_path(folder, record)
        records.append(run_shard(workspace, Shard(record.index, path), lambda _, output=output: output))
        vectors.append(np.array([vector for vector in vector_lists(table) if vector], np.float64))
    facts = FeatureFacts(
        modality="audio", extractor="x", extractor_fingerprint="f" * 16, dim=dim, storage=storage,
        archive_fingerprint=archive.fingerprint,
    )  # fmt: skip
    Manifest(stage="extract-audio", fingerprint="1", shards=tuple(records), columns={}, facts=facts.plain()).write(
        workspace, f"{folder}/{MANIFEST}"
    )
    for record, noted in zip(records, ((10.0, 50, 60.0), (5.0, 50, None)), strict=False):
        rows = [dict(zip(TIMING.names, noted, strict=True))]
        workspace.write_table(timing_path(record.path), pa.Table.from_pylist(rows, schema=TIMING))
    (described,) = describe_features(workspace, "made")
    whole = np.concatenate(vectors)
    assert described.present == len(whole) and described.rows == archive.rows
    assert described.values is not None
    np.testing.assert_allclose(described.values.mean, whole.mean(), rtol=1e-12)
    np.testing.assert_allclose(described.values.deviation, whole.std(), rtol=1e-9)
    assert described.values.dead == 2 == (whole.std(axis=0) == 0).sum()
    expected = sum(len(range(1, record.rows, 4)) for record in records)
    assert described.reasons == {"span starts at N s, past the end": expected} and described.failed == expected
    assert described.bytes == sum(record.bytes for record in records)
    assert described.cost == Cost(per_thousand=150, per_media_hour=600)


def test_where_no_vector_is_there_and_nothing_was_timed_nothing_is_said_of_them(workspace: Workspace) -> None:
    made.archive(workspace, modalities=("visual",), missing=1.1)
    (described,) = describe_features(workspace, "made")
    assert described.values is None and described.present == 0 and described.cost == Cost(None, None)
    assert list(described.reasons) == ["no such file"]


def test_an_archive_without_features_is_told_how_to_make_them(workspace: Workspace) -> None:
    made.archive(workspace, modalities=())
    with pytest.raises(WorkflowError, match=r"'made' has no features\n  make them with: sdt extract made"):
        describe_features(workspace, "made")
    with pytest.raises(WorkflowError, match="archive 'x' is not in"):
        describe_features(workspace, "x")
