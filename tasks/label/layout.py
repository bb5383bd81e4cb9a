"""Where the labels of an archive lie: a folder for each day, whose manifest names the files that count."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from tasks.storage.manifest import MANIFEST, Manifest, read_manifest
from tasks.storage.workspace import Workspace


def day_folder(archive: str, day: str) -> str:
    """Labels of one day: a Hive partition."""
    return f"labels/{archive}/date={day}"


def day_manifest(archive: str, day: str) -> str:
    """What makes a day's labels the current ones."""
    return f"{day_folder(archive, day)}/{MANIFEST}"


def label_path(archive: str, day: str, shard: int, run_id: str) -> str:
    """Labels of a day's conversations in one utterance shard."""
    return f"{day_folder(archive, day)}/part-{shard:05d}-{run_id}.parquet"


def shard_of_labels(path: str) -> int:
    """The number of the utterance shard of a `label_path`."""
    return int(path.rsplit("/", 1)[1].split("-")[1])


def label_files(workspace: Workspace, archive: str) -> dict[str, list[str]]:
    """The files in each day's folder, the manifest among them."""
    files: dict[str, list[str]] = {}
    for path in workspace.files(f"labels/{archive}"):
        folder = path.split("/")[2]
        if folder.startswith("date="):
            files.setdefault(folder.removeprefix("date="), []).append(path)
    return files


def labelled_days(workspace: Workspace, files: Mapping[str, list[str]]) -> dict[str, Manifest]:
    """The manifest of each day that has labels."""
    paths = {day: path for day, there in files.items() for path in there if path.endswith(f"/{MANIFEST}")}
    with ThreadPoolExecutor(8) as pool:
        found = pool.map(partial(read_manifest, workspace), paths.values())
    return {day: manifest for day, manifest in zip(paths, found, strict=True) if manifest is not None}


def clear_day(workspace: Workspace, archive: str, day: str, current: Manifest | None) -> None:
    """Remove a day's files but those of its current manifest; without one, all of them, the manifest first."""
    path = day_manifest(archive, day)
    if current is None and workspace.exists(path):
        workspace.remove(path)
    kept = {shard.path for shard in current.shards} | {path} if current else set()
    for file in workspace.files(day_folder(archive, day)):
        if file not in kept:
            workspace.remove(file)
