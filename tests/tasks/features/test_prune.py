import pytest

from tasks.archive.layout import archive_manifest_path, features_place
from tasks.archive.manifests import read_archive
from tasks.errors import WorkflowError
from tasks.features.catalog import feature_sets
from tasks.features.prune import plan_prune, prune
from tasks.features.reader import read_shard
from tasks.storage.manifest import MANIFEST
from tasks.storage.workspace import Workspace
from tests.fixtures import archives as made
from tests.fixtures.archives import feature_folders
from tests.fixtures.chaos.permissions import closed, unprivileged_folder
from tests.fixtures.models import promoted_model


def folder_of(workspace: Workspace, modality: str, archive: str = "made") -> str:
    (found,) = (found.folder for found in feature_sets(workspace, archive) if found.place[1] == modality)
    return found


def left(workspace: Workspace) -> set[str]:
    return {found.folder for found in feature_sets(workspace)}


def test_superseded_files_and_what_a_gone_archive_had_go_and_nothing_else(workspace: Workspace) -> None:
    made.archive(workspace)
    made.archive(workspace, name="gone", modalities=("text",))
    old = f"{folder_of(workspace, 'audio')}/part-00001-0123456789ab.parquet"
    before = set(workspace.files(""))
    workspace.write_bytes(old, b"older")
    workspace.remove_folder("archives/gone")
    removals = plan_prune(workspace)
    assert [(r.folder, r.whole, r.why) for r in removals] == [
        (folder_of(workspace, "text", "gone"), True, "the archive is gone"),
        (folder_of(workspace, "audio"), False, "superseded"),
    ]
    assert removals[1].files == (old,) and removals[1].bytes == 5
    assert workspace.exists(old), "a plan removes nothing"
    prune(workspace, removals)
    assert set(workspace.files("")) == {path for path in before if "/gone/" not in path}
    assert plan_prune(workspace) == []


def test_what_a_model_takes_stays_unless_it_is_named(workspace: Workspace) -> None:
    archive = made.archive(workspace)
    bundle = promoted_model(workspace, modalities=("text", "audio"))
    needed = {folder_of(workspace, modality) for modality in ("text", "audio")}
    (unused,) = plan_prune(workspace, unused=True)
    assert unused.folder == folder_of(workspace, "visual") and unused.why == "no model takes them"
    prune(workspace, [unused])
    assert left(workspace) == needed
    for shard in archive.shards:
        read_shard(workspace, shard, feature_folders()[:2], made.EMOTIONS)
    text = bundle.features["text"].fingerprint
    (named,) = plan_prune(workspace, extractors=[text])
    assert named.whole and named.why == "named, and taken by sdt-made"
    prune(workspace, [named])
    assert left(workspace) == {folder_of(workspace, "audio")}
    with pytest.raises(WorkflowError, match=rf"no features of extractor {text}\n  there: \w+\n"):
        plan_prune(workspace, extractors=[text])


def test_given_features_and_those_under_way_stay(workspace: Workspace) -> None:
    made.archive(workspace)
    visual = folder_of(workspace, "visual")
    archive = read_archive(workspace, "made")
    given = {"modality": "visual", "fingerprint": features_place(visual).extractor, "dim": 576}
    archive.model_copy(update={"facts": archive.facts | {"given": [given]}}).write(
        workspace, archive_manifest_path("made")
    )
    assert visual not in {removal.folder for removal in plan_prune(workspace, unused=True)}
    workspace.remove(f"{folder_of(workspace, 'text')}/{MANIFEST}")  # being made
    assert plan_prune(workspace) == []


def test_an_archive_alone_may_be_pruned(workspace: Workspace) -> None:
    for name in ("made", "other"):
        made.archive(workspace, name=name, modalities=("text",))
    assert [features_place(removal.folder).archive for removal in plan_prune(workspace, "other", unused=True)] == [
        "other"
    ]


def test_an_archive_whose_folder_cannot_be_listed_is_not_gone() -> None:
    with unprivileged_folder(lambda folder: made.archive(Workspace(str(folder)), modalities=("text",))) as folder:
        workspace = Workspace(str(folder))
        for shut in ("archives/made/utterances", "archives/made", "archives", "features/made/text"):
            with closed(folder / shut), pytest.raises(WorkflowError, match="access is refused"):
                plan_prune(workspace)
