import pytest

from tasks.archive.facts import IngestFacts, PrecomputedFeatures
from tasks.config.stages import ExtractorNames
from tasks.errors import WorkflowError
from tasks.features.precomputed import (
    PRECOMPUTED,
    all_present,
    chosen_precomputed,
    precomputed_manifest,
    precomputed_path,
)
from tasks.storage.manifest import Manifest
from tasks.storage.workspace import Workspace

TEXT = PrecomputedFeatures(modality="text", fingerprint="0123456789abcdef", dim=12)
FACTS = IngestFacts(media_root="m")
PLAIN = Manifest(stage="ingest", fingerprint="f", shards=(), columns={}, facts=FACTS.plain())
ARCHIVE = PLAIN.model_copy(update={"facts": FACTS.model_copy(update={"precomputed": (TEXT,)}).plain()})


def test_they_are_meant_unless_an_extractor_is_named() -> None:
    for names, expected in (
        (ExtractorNames(), TEXT),
        (ExtractorNames(text=PRECOMPUTED), TEXT),
        (ExtractorNames(text="minilm"), None),
    ):
        assert chosen_precomputed(ARCHIVE, "a", names, "text") == expected
    assert chosen_precomputed(ARCHIVE, "a", ExtractorNames(), "audio") is None
    assert chosen_precomputed(PLAIN, "a", ExtractorNames(), "text") is None


def test_asked_for_where_there_are_none() -> None:
    with pytest.raises(WorkflowError, match="archive 'a' came without audio features"):
        chosen_precomputed(ARCHIVE, "a", ExtractorNames(audio=PRECOMPUTED), "audio")


def test_removed_ones_are_missed(workspace: Workspace) -> None:
    assert all_present(workspace, "a", PLAIN) and not all_present(workspace, "a", ARCHIVE)
    with pytest.raises(WorkflowError, match="came with text features, and they were removed"):
        precomputed_manifest(workspace, "a", TEXT)
    PLAIN.write(workspace, precomputed_path("a", TEXT))
    assert all_present(workspace, "a", ARCHIVE) and precomputed_manifest(workspace, "a", TEXT) == PLAIN
