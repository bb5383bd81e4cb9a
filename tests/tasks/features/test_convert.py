"""Features that commit 332534d stored, converted: the same vectors, and nothing is made again."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tasks.archive.layout import manifest_path
from tasks.config.stages import VerifyConfig
from tasks.errors import DamagedFile
from tasks.features.catalog import feature_sets
from tasks.features.convert import convert_features
from tasks.features.vectors import vectors_of
from tasks.maintenance.verify import verify
from tasks.storage.manifest import read_manifest
from tasks.storage.workspace import Workspace
from tests.fixtures.old_workspace import OldWorkspace


@pytest.fixture
def old(tmp_path: Path) -> Workspace:
    return OldWorkspace.unpack(tmp_path).workspace


def paths(workspace: Workspace) -> list[str]:
    manifests = (features.manifest for features in feature_sets(workspace, "calls"))
    return [shard.path for manifest in manifests if manifest for shard in manifest.shards]


def is_list(workspace: Workspace, path: str) -> bool:
    return pa.types.is_fixed_size_list(workspace.read_table(path).schema.field("vector").type)


def test_vectors_and_all_else_stay_and_the_archive_is_whole(old: Workspace) -> None:
    before = {path: old.read_table(path) for path in paths(old)}
    conversions = convert_features(old, "calls")
    assert sum(done.files for done in conversions) == len(before) > 3 and before.keys() == set(paths(old))
    for path, table in before.items():
        now = old.read_table(path)
        assert is_list(old, path) is False and now.drop(["vector"]).equals(table.drop(["vector"]))
        for one, other in zip(vectors_of(now), vectors_of(table), strict=True):
            np.testing.assert_array_equal(one, other)
    report = verify(VerifyConfig(workspace=old.url, archive="calls"))
    assert not report.faults and convert_features(old, "calls") == []


def test_one_that_was_killed_goes_on_from_there(old: Workspace) -> None:
    manifests = [manifest_path(features.folder) for features in feature_sets(old, "calls")]
    before = {path: old.read_bytes(path) for path in manifests}
    convert_features(old, "calls")
    for path, content in before.items():  # as if it had been killed before the manifests
        old.write_bytes(path, content)
    assert verify(VerifyConfig(workspace=old.url, archive="calls")).faults
    assert convert_features(old, "calls") and not verify(VerifyConfig(workspace=old.url, archive="calls")).faults


def test_a_damaged_file_is_named_and_not_taken_for_what_it_was(old: Workspace) -> None:
    path = paths(old)[0]
    content = bytearray(old.read_bytes(path))
    content[len(content) // 3] ^= 4
    old.write_bytes(path, bytes(content))
    with pytest.raises(DamagedFile, match=r"(?s)part-.*make it anew with: sdt extract"):
        convert_features(old, "calls")
    manifest = read_manifest(old, manifest_path(path.rpartition("/")[0]))
    assert manifest is not None and is_list(old, manifest.shards[-1].path)
