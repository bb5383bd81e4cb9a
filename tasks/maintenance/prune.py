"""Pruning a workspace: files of archives, features, labels and runs that no manifest and no pointer names any more.

An archive or a day without a manifest is unfinished, not superseded: the next run continues from it.
"""

import posixpath
from collections.abc import Iterator

from tasks.archive.layout import (
    ENCODER_RUNS,
    LABELS,
    MODEL_RUNS,
    RUNS,
    archive_manifest_path,
    day_folder,
    rejected_folder,
    scan_folder,
    utterances_folder,
)
from tasks.archive.manifests import archive_names
from tasks.archive.repair import finished_manifest
from tasks.features.prune import Removal, plan_prune
from tasks.label.manifests import label_files, labelled_days
from tasks.registry.encoders import encoder_names
from tasks.registry.models import bundles
from tasks.registry.runs import ended_records
from tasks.storage.workspace import Workspace, checked_name

TEMPORARY_S = 3600.0
"""Seconds without being written to after which a temporary file counts as left behind."""
KEPT_RUNS = 200
"""Number of runs whose records stay; those of runs that are under way stay as well."""


def plan_workspace_prune(workspace: Workspace, archive: str | None = None) -> list[Removal]:
    """List what can be removed of the whole workspace or of one archive; removes nothing."""
    names = [checked_name(archive, "archive")] if archive else archive_names(workspace)
    labels = [archive] if archive else archive_names(workspace, LABELS)
    return [
        *(removal for name in names for removal in _of_archive(workspace, name)),
        *plan_prune(workspace, archive),
        *(removal for name in labels for removal in _of_labels(workspace, name)),
        *([] if archive else [*_of_trainings(workspace), *_of_runs(workspace), *_of_killed(workspace)]),
    ]


def _of_archive(workspace: Workspace, name: str) -> Iterator[Removal]:
    """Utterances and rejected rows of earlier ingests."""
    manifest = finished_manifest(workspace, archive_manifest_path(name))
    if manifest is None:
        return
    for folder in (utterances_folder, rejected_folder):
        current = folder(name, manifest.fingerprint)
        yield from _superseded(workspace, folder(name), {f"{current}/"}, "of an earlier ingest")
    scanned = f"{scan_folder(name)}/{manifest.fingerprint}"
    leftover = {path: size for path, size in workspace.sizes(scan_folder(name)).items() if path.startswith(scanned)}
    if leftover:
        yield Removal(scan_folder(name), tuple(leftover), sum(leftover.values()), False, "of an ingest that is done")


def _of_labels(workspace: Workspace, name: str) -> Iterator[Removal]:
    """Label files that their day's manifest does not name."""
    files = label_files(workspace, name)
    for day, manifest in labelled_days(workspace, name, files).items():
        current = {shard.path for shard in manifest.shards} | {f"{day_folder(name, day)}/_"}
        yield from _superseded(workspace, day_folder(name, day), current, "not of the day's manifest")


def _of_runs(workspace: Workspace) -> Iterator[Removal]:
    """Records of runs that ended long ago."""
    paths = ended_records(workspace, newest=KEPT_RUNS)
    if paths:
        sizes = workspace.sizes(RUNS)
        size = sum(sizes.get(path, 0) for path in paths)
        yield Removal(RUNS, tuple(paths), size, False, f"older than the last {KEPT_RUNS} runs")


def _of_trainings(workspace: Workspace) -> Iterator[Removal]:
    """Checkpoints of trainings whose model or encoder is complete."""
    for bundle in bundles(workspace):
        yield from _superseded(workspace, f"{MODEL_RUNS}/{bundle.model_id}", set(), "the model is there")
    for encoder in encoder_names(workspace):
        yield from _superseded(workspace, f"{ENCODER_RUNS}/{encoder}", set(), "the encoder is there")


def _of_killed(workspace: Workspace) -> Iterator[Removal]:
    """Temporary files that a process which was killed could not remove."""
    temporary = [path for path, age in workspace.temporary().items() if age > TEMPORARY_S]
    folders: dict[str, list[str]] = {}
    for path in temporary:
        folders.setdefault(posixpath.dirname(path), []).append(path)
    for folder, paths in folders.items():
        size = sum(workspace.size(path) for path in paths)
        yield Removal(folder, tuple(paths), size, False, "left by a process that was killed")


def _superseded(workspace: Workspace, folder: str, current: set[str], why: str) -> Iterator[Removal]:
    """Files of a folder whose paths begin with none of the ``current`` prefixes, as one removal."""
    sizes = {path: size for path, size in workspace.sizes(folder).items() if not path.startswith(tuple(current))}
    if sizes:
        yield Removal(folder, tuple(sizes), sum(sizes.values()), False, why)
