"""Features that an archive came with, and that no extractor makes: where they are, and when they are meant.

Ingest lays them where an extractor's would lie (`tasks.ingest.import_features`) and names them in the archive's
manifest.
"""

import logging
from dataclasses import dataclass

from sdt_model.config import Modality
from tasks.archive.layout import features_folder
from tasks.config.stages import ExtractorNames
from tasks.errors import WorkflowError
from tasks.storage.manifest import MANIFEST, Manifest, read_manifest
from tasks.storage.workspace import Workspace

log = logging.getLogger("sdt.given")

GIVEN = "given"  # what they are called among the extractors


@dataclass(frozen=True)
class GivenFeatures:
    """One modality's: the fingerprint that stands for an extractor's, and the length of a vector."""

    modality: Modality
    fingerprint: str
    dim: int


def given_features(archive: Manifest) -> list[GivenFeatures]:
    """All that the archive came with."""
    return [GivenFeatures(**entry) for entry in archive.facts.get(GIVEN, [])]


def chosen_given(archive: Manifest, name: str, extractors: ExtractorNames, modality: Modality) -> GivenFeatures | None:
    """A modality's, unless there are none or ``extractors`` names an extractor.

    Raises:
        WorkflowError: they are asked for by name, and there are none.
    """
    found = next((given for given in given_features(archive) if given.modality == modality), None)
    wanted = extractors.named(modality)
    if wanted == GIVEN and found is None:
        raise WorkflowError(
            f"archive {name!r} came without {modality} features\n"
            f"  `{GIVEN}` stands for those that `sdt ingest sdt-pickle` brings; name an extractor that makes them"
        )
    return found if wanted in (None, GIVEN) else None


def given_manifest(workspace: Workspace, name: str, given: GivenFeatures) -> Manifest:
    """The manifest of such features, where an extractor has nothing to do.

    Raises:
        WorkflowError: they were removed since.
    """
    found = read_manifest(workspace, manifest_path(name, given))
    if found is None:
        raise WorkflowError(
            f"archive {name!r} came with {given.modality} features, and they were removed\n"
            "  bring them back with the `sdt ingest` that made the archive"
        )
    log.info("extract-%s: nothing to do, archive %s came with its features", given.modality, name)
    return found


def all_there(workspace: Workspace, name: str, archive: Manifest) -> bool:
    """Whether the features that the archive came with still are."""
    return all(workspace.exists(manifest_path(name, given)) for given in given_features(archive))


def manifest_path(archive: str, given: GivenFeatures) -> str:
    """Where the manifest of such features lies."""
    return f"{features_folder(archive, given.modality, given.fingerprint)}/{MANIFEST}"
