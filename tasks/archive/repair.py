"""Damaged files of a workspace: the command that makes each of them anew."""

from collections.abc import Iterator
from contextlib import contextmanager

from tasks.archive.facts import FeatureFacts
from tasks.archive.layout import ARCHIVES, ENCODERS, FEATURES, LABELS, MODELS, archive_of, features_place, manifest_path
from tasks.errors import DamagedFile
from tasks.storage.manifest import Manifest, read_manifest
from tasks.storage.workspace import Workspace

CHECK = "--set check=content"
"""Lets a stage look into its files, and make again what is damaged."""


@contextmanager
def reading(workspace: Workspace, path: str) -> Iterator[None]:
    """Name the command that makes a file anew, where it turns out to be damaged or gone while it is read.

    Raises:
        DamagedFile: it is.
    """
    try:
        yield
    except DamagedFile as error:
        raise error.with_repair(repair_command(workspace, error.path)) from error
    except FileNotFoundError as error:
        damaged = DamagedFile(workspace.uri(path), path, "it is not there, and should be")
        raise damaged.with_repair(repair_command(workspace, path)) from error


def finished_manifest(workspace: Workspace, path: str) -> Manifest | None:
    """The manifest at ``path``, or None where its stage is unfinished.

    Raises:
        WorkflowError: it is damaged; names the command that makes it anew.
    """
    with reading(workspace, path):
        return read_manifest(workspace, path)


def repair_command(workspace: Workspace, path: str) -> str:
    """The command that makes a file of the workspace anew."""
    kind, archive = path.partition("/")[0], archive_of(path)
    if kind == ARCHIVES:
        return f"sdt ingest KIND PATH --archive {archive} {CHECK}"
    if kind == FEATURES:
        return _extract_command(workspace, path)
    if kind == LABELS:
        return f"sdt label {archive} {CHECK}"
    commands = {
        MODELS: "sdt train ARCHIVE, to train it again as it was",
        ENCODERS: "sdt finetune-text ARCHIVE, as it was made",
    }
    return commands.get(kind, "the command that wrote it")


def _extract_command(workspace: Workspace, path: str) -> str:
    place = features_place(path)
    if place is None:
        return "sdt extract ARCHIVE"
    command = f"sdt extract {place.archive} {CHECK}"
    try:
        manifest = read_manifest(workspace, manifest_path(path.rpartition("/")[0]))
        facts = FeatureFacts.of(manifest) if manifest else None
    except (DamagedFile, ValueError):
        facts = None
    if facts is None:
        return command
    if facts.extractor == "given":
        return f"sdt ingest KIND PATH --archive {place.archive} {CHECK}"
    storage = "" if facts.storage == "float32" else f" --set extractors.storage={facts.storage}"
    return f"{command} --set extractors.{place.modality}={facts.extractor}{storage}"
