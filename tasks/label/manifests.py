"""The labels of an archive as they are: the files in each day's folder, and the manifest that says which count."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

from tasks.archive.layout import day_folder, day_manifest, day_of, labels_folder
from tasks.archive.repair import finished_manifest
from tasks.storage.manifest import Manifest
from tasks.storage.workspace import Workspace

DayFiles = Mapping[str, Mapping[str, int]]
"""The files in each day's folder, by path, and their sizes."""


def label_files(workspace: Workspace, archive: str) -> dict[str, dict[str, int]]:
    """The files in each day's folder, the manifest among them."""
    files: dict[str, dict[str, int]] = {}
    for path, size in workspace.sizes(labels_folder(archive)).items():
        if (place := day_of(path)) is not None:
            files.setdefault(place.day, {})[path] = size
    return files


def labelled_days(
    workspace: Workspace,
    archive: str,
    files: DayFiles,
    read: Callable[[Workspace, str], Manifest | None] = finished_manifest,
) -> dict[str, Manifest]:
    """The manifest of each day that has labels.

    Args:
        workspace: where they lie.
        archive: its name.
        files: as `label_files` lists them.
        read: reads a manifest; what it makes of a damaged one is up to it.
    """
    paths = {day: path for day, paths in files.items() if (path := day_manifest(archive, day)) in paths}
    with ThreadPoolExecutor(8) as pool:
        manifests = pool.map(partial(read, workspace), paths.values())
    return {day: manifest for day, manifest in zip(paths, manifests, strict=True) if manifest is not None}


def clear_day(workspace: Workspace, archive: str, day: str, current: Manifest | None) -> None:
    """Remove a day's files but those of its current manifest; without one, all of them, the manifest first."""
    path = day_manifest(archive, day)
    if current is None and workspace.exists(path):
        workspace.remove(path)
    named = {shard.path for shard in current.shards} | {path} if current else set()
    for file in workspace.files(day_folder(archive, day)):
        if file not in named:
            with suppress(FileNotFoundError):  # prune took over while this run was held up
                workspace.remove(file)
