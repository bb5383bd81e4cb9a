import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdt_model.config import ModelConfig
from tasks.storage.manifest import Manifest, ShardRecord, fingerprint, read_manifest
from tasks.storage.workspace import Workspace

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
)


@pytest.mark.long
@given(plain, plain)
def test_fingerprints_are_equal_exactly_when_the_parts_are(one: object, other: object) -> None:
    assert fingerprint(one) == fingerprint(one)
    if repr(one) != repr(other) and one != other:
        assert fingerprint(one) != fingerprint(other)


def test_a_configuration_counts_by_its_values() -> None:
    assert fingerprint(ModelConfig()) == fingerprint(ModelConfig(hidden=1024))
    assert fingerprint(ModelConfig()) != fingerprint(ModelConfig(hidden=512))


def test_it_comes_back_and_adds_up(workspace: Workspace) -> None:
    shards = tuple(
        ShardRecord(index=i, path=f"p{i}", rows=i, bytes=1, sha256="x", counts={"a": i, "b": 1}) for i in range(3)
    )
    manifest = Manifest(stage="s", fingerprint="f", shards=shards, columns={"n": "int64"})
    assert read_manifest(workspace, "m.json") is None
    manifest.write(workspace, "m.json")
    assert read_manifest(workspace, "m.json") == manifest
    assert manifest.rows == 3 and manifest.counts == {"a": 3, "b": 3}
