from sdt_model.config import MODALITIES
from tasks.archive.layout import archive_manifest_path, features_path, timing_path
from tasks.archive.manifests import read_archive
from tasks.features.catalog import FeatureSet, feature_sets
from tasks.storage.manifest import MANIFEST
from tasks.storage.workspace import Workspace
from tests.fixtures import archives as made
from tests.fixtures.models import promoted_model


def by_modality(workspace: Workspace, archive: str | None = None) -> dict[str, FeatureSet]:
    return {found.place[1]: found for found in feature_sets(workspace, archive)}


def test_every_archive_s_features_with_what_takes_them(workspace: Workspace) -> None:
    made.archive(workspace)
    made.archive(workspace, name="other", modalities=("text",))
    bundle = promoted_model(workspace, "sdt-one", modalities=("text", "audio"))
    promoted_model(workspace, "sdt-two", modalities=("text",))
    assert [found.place[:2] for found in feature_sets(workspace)] == [
        ("made", "audio"), ("made", "text"), ("made", "visual"), ("other", "text")
    ]  # fmt: skip
    found = by_modality(workspace, "made")
    assert found.keys() == set(MODALITIES) and {one.state for one in found.values()} == {"current"}
    assert found["text"].models == ("sdt-one", "sdt-two") and found["audio"].models == ("sdt-one",)
    assert found["visual"].models == () and found["text"].facts.extractor == "minilm"
    assert found["text"].place == ("made", "text", bundle.features["text"].fingerprint)
    assert found["text"].bytes == sum(workspace.sizes(found["text"].folder).values()) > 0
    assert not found["text"].superseded and not found["text"].precomputed


def test_the_state_follows_the_archive_and_the_manifest(workspace: Workspace) -> None:
    made.archive(workspace)
    found = by_modality(workspace)
    workspace.remove(f"{found['audio'].folder}/{MANIFEST}")
    archive = read_archive(workspace, "made")
    archive.model_copy(update={"fingerprint": "grown"}).write(workspace, archive_manifest_path("made"))
    assert {m: one.state for m, one in by_modality(workspace).items()} == {
        "text": "out of date", "audio": "unfinished", "visual": "out of date"
    }  # fmt: skip
    workspace.remove(archive_manifest_path("made"))  # its ingest has begun again
    assert by_modality(workspace)["text"].state == "out of date" and not by_modality(workspace)["text"].gone
    workspace.remove_folder("archives/made")
    assert by_modality(workspace)["text"].state == "archive gone"


def test_superseded_is_what_neither_the_manifest_names_nor_the_archive_wants(workspace: Workspace) -> None:
    archive = made.archive(workspace)
    folder = by_modality(workspace)["text"].folder
    wanted = archive.shards[0].model_copy(update={"sha256": "f" * 64})
    archive.model_copy(update={"shards": (wanted, *archive.shards[1:])}).write(workspace, archive_manifest_path("made"))
    under_way, named = features_path(folder, wanted), features_path(folder, archive.shards[0])
    old = f"{folder}/part-00000-0123456789ab.parquet"
    for path in (under_way, old):
        workspace.write_bytes(path, b"shard")
    for path in (under_way, old, named):
        workspace.write_bytes(timing_path(path), b"timing")
    assert by_modality(workspace)["text"].superseded == [old, timing_path(old)]
