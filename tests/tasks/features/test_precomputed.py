from dataclasses import asdict

import pytest

from tasks.config.stages import ExtractorNames
from tasks.errors import WorkflowError
from tasks.features.precomputed import (
    GIVEN,
    GivenFeatures,
    all_there,
    chosen_given,
    given_features,
    given_manifest,
    manifest_path,
)
from tasks.storage.manifest import Manifest
from tasks.storage.workspace import Workspace

TEXT = GivenFeatures("text", "0123456789abcdef", 12)
PLAIN = Manifest(stage="ingest", fingerprint="f", shards=(), columns={})
ARCHIVE = PLAIN.model_copy(update={"facts": {GIVEN: [asdict(TEXT)]}})


def test_they_are_meant_unless_an_extractor_is_named() -> None:
    assert given_features(ARCHIVE) == [TEXT] and given_features(PLAIN) == []
    for names, expected in (
        (ExtractorNames(), TEXT),
        (ExtractorNames(text=GIVEN), TEXT),
        (ExtractorNames(text="minilm"), None),
    ):
        assert chosen_given(ARCHIVE, "a", names, "text") == expected
    assert chosen_given(ARCHIVE, "a", ExtractorNames(), "audio") is None
    assert chosen_given(PLAIN, "a", ExtractorNames(), "text") is None


def test_asked_for_where_there_are_none() -> None:
    with pytest.raises(WorkflowError, match="archive 'a' came without audio features"):
        chosen_given(ARCHIVE, "a", ExtractorNames(audio=GIVEN), "audio")


def test_removed_ones_are_missed(workspace: Workspace) -> None:
    assert all_there(workspace, "a", PLAIN) and not all_there(workspace, "a", ARCHIVE)
    with pytest.raises(WorkflowError, match="came with text features, and they were removed"):
        given_manifest(workspace, "a", TEXT)
    PLAIN.write(workspace, manifest_path("a", TEXT))
    assert all_there(workspace, "a", ARCHIVE) and given_manifest(workspace, "a", TEXT) == PLAIN
