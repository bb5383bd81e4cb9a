"""Precomputed features: an archive came with them, and no extractor makes them.

Ingest writes them to where an extractor's would lie (`tasks.ingest.import_features`) and names them in the archive's
manifest.
"""

import logging

from sdt_model.config import Modality
from tasks.archive.facts import IngestFacts, PrecomputedFeatures
from tasks.archive.layout import features_folder, manifest_path
from tasks.archive.repair import CHECK
from tasks.config.stages import Check, ExtractorNames
from tasks.errors import WorkflowError
from tasks.storage.manifest import Manifest, incomplete_shards, usable_manifest
from tasks.storage.workspace import Workspace

log = logging.getLogger("sdt.given")

PRECOMPUTED = "given"  # as an extractor is named; stored in manifests and models


def chosen_precomputed(
    archive: Manifest, name: str, extractors: ExtractorNames, modality: Modality
) -> PrecomputedFeatures | None:
    """A modality's features that the archive ``name`` came with, unless ``extractors`` names an extractor.

    Args:
        archive: its manifest.
        name: the archive's.
        extractors: as configured.
        modality: which.

    Raises:
        WorkflowError: they are asked for by name, and there are none.
    """
    precomputed = IngestFacts.of(archive).precomputed
    features = next((features for features in precomputed if features.modality == modality), None)
    wanted = extractors.named(modality)
    if wanted == PRECOMPUTED and features is None:
        raise WorkflowError(
            f"archive {name!r} came without {modality} features\n"
            f"  `{PRECOMPUTED}` stands for those that `sdt ingest sdt-pickle` brings; name an extractor that makes them"
        )
    return features if wanted in (None, PRECOMPUTED) else None


def precomputed_manifest(
    workspace: Workspace, name: str, features: PrecomputedFeatures, check: Check = "size"
) -> Manifest:
    """The manifest of features that an archive came with, where an extractor has nothing to do.

    Args:
        workspace: where they lie.
        name: the archive's.
        features: one modality's.
        check: what of the files is looked at.

    Raises:
        WorkflowError: some were removed since, or are damaged.
    """
    manifest = _intact(workspace, name, features, check)
    if manifest is None:
        raise WorkflowError(
            f"archive {name!r} came with {features.modality} features, and they were removed, or are damaged\n"
            f"  bring them back with the `sdt ingest` that made the archive, and {CHECK}"
        )
    log.info("extract-%s: nothing to do, archive %s came with its features", features.modality, name)
    return manifest


def all_present(workspace: Workspace, name: str, archive: Manifest, check: Check = "size") -> bool:
    """Whether the features that the archive came with are still in the workspace, as their manifests say."""
    precomputed = IngestFacts.of(archive).precomputed
    return all(_intact(workspace, name, features, check) is not None for features in precomputed)


def _intact(workspace: Workspace, name: str, features: PrecomputedFeatures, check: Check) -> Manifest | None:
    manifest = usable_manifest(workspace, precomputed_path(name, features))
    if manifest is None:
        return None
    sizes = workspace.sizes(features_folder(name, features.modality, features.fingerprint))
    return None if incomplete_shards(workspace, manifest.shards, sizes, check) else manifest


def precomputed_path(archive: str, features: PrecomputedFeatures) -> str:
    """Where the manifest of features that an archive came with lies."""
    return manifest_path(features_folder(archive, features.modality, features.fingerprint))
