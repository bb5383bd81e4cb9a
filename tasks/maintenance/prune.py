"""Pruning a workspace: what no manifest and no pointer names any more, of archives, features, labels and runs.

An archive without a manifest, and a day without one, are unfinished, not superseded: the next run goes on from them.
"""

from collections.abc import Iterator

from tasks.archive.layout import (
    LABELS,
    MODEL_RUNS,
    archive_manifest_path,
    day_folder,
    rejected_folder,
    utterances_folder,
)
from tasks.archive.manifests import archive_names
from tasks.features.prune import Removal, plan_prune
from tasks.label.manifests import label_files, labelled_days
from tasks.registry.models import bundles
from tasks.storage.manifest import read_manifest
from tasks.storage.workspace import Workspace, checked_name


def plan_workspace_prune(workspace: Workspace, archive: str | None = None) -> list[Removal]:
    """What would go, of the whole workspace or of one archive."""
    names = [checked_name(archive, "archive")] if archive else archive_names(workspace)
    labels = [archive] if archive else archive_names(workspace, LABELS)
    return [
        *(removal for name in names for removal in _of_archive(workspace, name)),
        *plan_prune(workspace, archive),
        *(removal for name in labels for removal in _of_labels(workspace, name)),
        *([] if archive else _of_runs(workspace)),
    ]


def _of_archive(workspace: Workspace, name: str) -> Iterator[Removal]:
    """Utterances and rejected rows of earlier ingests."""
    manifest = read_manifest(workspace, archive_manifest_path(name))
    if manifest is None:
        return
    for folder in (utterances_folder, rejected_folder):
        current = folder(name, manifest.fingerprint)
        yield from _superseded(workspace, folder(name), {f"{current}/"}, "of an earlier ingest")


def _of_labels(workspace: Workspace, name: str) -> Iterator[Removal]:
    """Label files beside those of a day's manifest."""
    files = label_files(workspace, name)
    for day, manifest in labelled_days(workspace, name, files).items():
        kept = {shard.path for shard in manifest.shards} | {f"{day_folder(name, day)}/_"}
        yield from _superseded(workspace, day_folder(name, day), kept, "not of the day's manifest")


def _of_runs(workspace: Workspace) -> Iterator[Removal]:
    """Checkpoints of trainings whose model is there."""
    for bundle in bundles(workspace):
        yield from _superseded(workspace, f"{MODEL_RUNS}/{bundle.model_id}", set(), "the model is there")


def _superseded(workspace: Workspace, folder: str, kept: set[str], why: str) -> Iterator[Removal]:
    """The files of a folder whose paths do not begin as one of ``kept`` does."""
    gone = {path: size for path, size in workspace.sizes(folder).items() if not path.startswith(tuple(kept))}
    if gone:
        yield Removal(folder, tuple(gone), sum(gone.values()), False, why)
