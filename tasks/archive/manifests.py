"""The archives of a workspace: their manifests, and what those say."""

from collections import Counter

from sdt_model.config import Modality
from tasks.archive.facts import UtteranceShardFacts
from tasks.archive.layout import ARCHIVES, archive_manifest_path, archive_of
from tasks.archive.repair import finished_manifest
from tasks.errors import WorkflowError
from tasks.storage.manifest import Manifest
from tasks.storage.workspace import Workspace


def archive_names(workspace: Workspace, below: str = ARCHIVES) -> list[str]:
    """The archives that have a file ``below`` one of the workspace's folders, complete or not."""
    return sorted({name for path in workspace.files(below) if (name := archive_of(path)) is not None})


def read_archive(workspace: Workspace, archive: str) -> Manifest:
    """The archive's manifest.

    Raises:
        WorkflowError: the archive was never ingested here, its ingest did not finish, or its manifest is damaged.
    """
    manifest = finished_manifest(workspace, archive_manifest_path(archive))
    if manifest is None:
        raise WorkflowError(
            f"archive {archive!r} is not in {workspace.url}, or its ingest did not finish\n"
            f"  there: {', '.join(archive_names(workspace)) or 'none'}\n"
            f"  make it with: sdt ingest KIND PATH --archive {archive}"
        )
    return manifest


def read_same_archive(workspace: Workspace, stage: str, archive: str, fingerprint: str) -> Manifest:
    """The manifest of an archive that is still the one that a run began with.

    Args:
        workspace: holds the archive.
        stage: that runs.
        archive: name of the archive.
        fingerprint: of the archive that the run began with.

    Raises:
        WorkflowError: it was ingested anew.
    """
    manifest = read_archive(workspace, archive)
    if manifest.fingerprint != fingerprint:
        raise WorkflowError(
            f"{stage}: archive {archive!r} was ingested anew while this ran, and nothing is made of the mixture\n"
            "  run the same command again"
        )
    return manifest


def has_modality(archive: Manifest, modality: Modality) -> bool:
    """Whether any utterance of the archive may have it; a video's sound track counts as audio."""
    columns = {"text": ("text",), "audio": ("audio", "video"), "visual": ("video",)}
    return any(archive.counts[column] for column in columns[modality])


def annotated_emotions(archive: Manifest, name: str) -> Counter[str]:
    """How many utterances are annotated with each emotion; ``name``: the archive's.

    Raises:
        WorkflowError: fewer than two emotions are, so that nothing can be trained.
    """
    counts = (Counter(UtteranceShardFacts.of(shard).emotions) for shard in archive.shards)
    emotions: Counter[str] = sum(counts, Counter())
    if len(emotions) < 2:
        raise WorkflowError(
            f"archive {name!r} cannot be trained on: its annotated emotions are {sorted(emotions) or 'none'}\n"
            "  training needs an `emotion` column with at least two of them"
        )
    return emotions
