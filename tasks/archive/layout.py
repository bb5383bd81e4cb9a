"""Where an archive and its features lie in the workspace, and the manifests that say they are complete."""

import re
from collections import Counter

from sdt_model.config import Modality
from tasks.archive.facts import UtteranceShardFacts
from tasks.errors import WorkflowError
from tasks.storage.manifest import MANIFEST, Manifest, ShardRecord, read_manifest
from tasks.storage.workspace import Workspace, checked_name


def archive_manifest_path(archive: str) -> str:
    """Manifest of the archive's utterance shards; replaced in one step when the archive is ingested anew."""
    return f"archives/{checked_name(archive, 'archive')}/{MANIFEST}"


def utterances_folder(archive: str, fingerprint: str) -> str:
    """Utterance shards of one ingest: part-00000.parquet ..."""
    return f"archives/{archive}/utterances/{fingerprint}"


def rejected_folder(archive: str, fingerprint: str) -> str:
    """Rows of one ingest that could not be used, one file beside each utterance shard."""
    return f"archives/{archive}/rejected/{fingerprint}"


def features_folder(archive: str, modality: Modality, extractor: str) -> str:
    """Feature shards made by the extractor with this fingerprint."""
    return f"features/{checked_name(archive, 'archive')}/{modality}/{extractor}"


def features_path(folder: str, utterances: ShardRecord) -> str:
    """Feature shard of an utterance shard, named by its content: an unchanged shard keeps its features."""
    return f"{folder}/part-{utterances.index:05d}-{utterances.sha256[:12]}.parquet"


def shard_number(path: str) -> int | None:
    """The number of the shard that a file of a features folder holds; None where it is no feature shard."""
    found = re.fullmatch(r"features/[^/]+/[^/]+/[^/]+/part-(\d+)-[^/]*\.parquet", path)
    return int(found[1]) if found else None


def timing_path(features: str) -> str:
    """Where it is noted how long a feature shard took: what the clock says is no part of the shard."""
    folder, _, name = features.rpartition("/")
    return f"{folder}/timing/{name}"


def archive_names(workspace: Workspace, below: str = "archives") -> list[str]:
    """The archives that the workspace has, or that it has labels of, whole or not."""
    return sorted({path.split("/")[1] for path in workspace.files(below)})


def read_archive(workspace: Workspace, archive: str) -> Manifest:
    """The archive's manifest.

    Raises:
        WorkflowError: the archive was never ingested here, or its ingest did not finish.
    """
    manifest = read_manifest(workspace, archive_manifest_path(archive))
    if manifest is None:
        raise WorkflowError(
            f"archive {archive!r} is not in {workspace.url}, or its ingest did not finish\n"
            f"  there: {', '.join(archive_names(workspace)) or 'none'}\n"
            f"  make it with: sdt ingest KIND PATH --archive {archive}"
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
    found: Counter[str] = sum((Counter(UtteranceShardFacts.of(shard).emotions) for shard in archive.shards), Counter())
    if len(found) < 2:
        raise WorkflowError(
            f"archive {name!r} cannot be trained on: its annotated emotions are {sorted(found) or 'none'}\n"
            "  training needs an `emotion` column with at least two of them"
        )
    return found
