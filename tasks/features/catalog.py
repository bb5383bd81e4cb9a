"""Which features a workspace holds: of which archive, by which extractor, how many, and who needs them."""

from collections import defaultdict
from dataclasses import dataclass

from tasks.archive.facts import FeatureFacts, IngestFacts
from tasks.archive.layout import (
    FEATURES,
    FeaturesPlace,
    archive_features_folder,
    archive_folder,
    archive_manifest_path,
    features_folder,
    features_path,
    features_place,
    manifest_path,
    timing_path,
)
from tasks.archive.repair import finished_manifest
from tasks.registry.models import bundles
from tasks.storage.manifest import Manifest
from tasks.storage.workspace import Workspace


@dataclass(frozen=True)
class FeatureSet:
    """One extractor's features of one modality of an archive.

    Attributes:
        folder: where they lie.
        files: all that lies there, with its size.
        manifest: None where they are unfinished.
        archive: the archive's manifest; None where there is none.
        gone: nothing is left of the archive, and none is being brought in.
        models: bundles that take features of this extractor.
    """

    folder: str
    files: dict[str, int]
    manifest: Manifest | None
    archive: Manifest | None
    gone: bool
    models: tuple[str, ...]

    @property
    def place(self) -> FeaturesPlace:
        """Archive, modality and the extractor's fingerprint."""
        place = features_place(self.folder)
        assert place is not None
        return place

    @property
    def bytes(self) -> int:
        return sum(self.files.values())

    @property
    def facts(self) -> FeatureFacts | None:
        """What the manifest says of them; None where they are unfinished."""
        return FeatureFacts.of(self.manifest) if self.manifest else None

    @property
    def state(self) -> str:
        """Whether the archive as it is now can be used with them."""
        if self.gone:
            return "archive gone"
        if self.manifest is None:
            return "unfinished"
        return "current" if self.archive and self.manifest.is_of(self.archive) else "out of date"

    @property
    def precomputed(self) -> bool:
        """The archive came with them: no extractor makes them again."""
        precomputed = IngestFacts.of(self.archive).precomputed if self.archive else ()
        return any(features.fingerprint == self.place.extractor for features in precomputed)

    @property
    def superseded(self) -> list[str]:
        """Files that the manifest does not name, and that no extract of the archive as it is now would make."""
        named = {shard.path for shard in self.manifest.shards} if self.manifest else set()
        named |= {features_path(self.folder, record) for record in self.archive.shards} if self.archive else set()
        needed = {manifest_path(self.folder)} | named | {timing_path(path) for path in named}
        return sorted(self.files.keys() - needed)


def feature_sets(workspace: Workspace, archive: str | None = None) -> list[FeatureSet]:
    """All features of a workspace, or of one archive, by their place."""
    users: dict[str, list[str]] = defaultdict(list)
    for bundle in bundles(workspace, strict=True):
        for source in bundle.features.values():
            users[source.fingerprint].append(bundle.model_id)
    files: dict[str, dict[str, int]] = defaultdict(dict)
    for path, size in workspace.sizes(FEATURES if archive is None else archive_features_folder(archive)).items():
        if (place := features_place(path)) is not None and path != (folder := features_folder(*place)):
            files[folder][path] = size
    return [_read(workspace, folder, files[folder], users) for folder in sorted(files)]


def _read(workspace: Workspace, folder: str, files: dict[str, int], users: dict[str, list[str]]) -> FeatureSet:
    place = features_place(folder)
    assert place is not None
    return FeatureSet(
        folder=folder,
        files=files,
        manifest=finished_manifest(workspace, manifest_path(folder)),
        archive=finished_manifest(workspace, archive_manifest_path(place.archive)),
        gone=not workspace.files(archive_folder(place.archive)),
        models=tuple(users.get(place.extractor, ())),
    )
