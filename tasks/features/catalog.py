"""Which features a workspace holds: of which archive, by which extractor, how many, and who needs them."""

from collections import defaultdict
from dataclasses import dataclass

from tasks.archive.facts import FeatureFacts, IngestFacts
from tasks.archive.layout import archive_manifest_path, features_path, timing_path
from tasks.registry.models import bundles
from tasks.storage.manifest import MANIFEST, Manifest, read_manifest
from tasks.storage.workspace import Workspace, checked_name


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
    def place(self) -> tuple[str, str, str]:
        """Archive, modality and the extractor's fingerprint."""
        _, archive, modality, extractor = self.folder.split("/")
        return archive, modality, extractor

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
        return any(features.fingerprint == self.place[2] for features in precomputed)

    @property
    def superseded(self) -> list[str]:
        """Files that the manifest does not name, and that no extract of the archive as it is now would make."""
        named = {shard.path for shard in self.manifest.shards} if self.manifest else set()
        named |= {features_path(self.folder, record) for record in self.archive.shards} if self.archive else set()
        kept = {f"{self.folder}/{MANIFEST}"} | named | {timing_path(path) for path in named}
        return sorted(self.files.keys() - kept)


def feature_sets(workspace: Workspace, archive: str | None = None) -> list[FeatureSet]:
    """All features of a workspace, or of one archive, by their place."""
    users: dict[str, list[str]] = defaultdict(list)
    for bundle in bundles(workspace):
        for source in bundle.features.values():
            users[source.fingerprint].append(bundle.model_id)
    where = "features" if archive is None else f"features/{checked_name(archive, 'archive')}"
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for path, size in workspace.sizes(where).items():
        if path.count("/") > 3:
            found["/".join(path.split("/")[:4])][path] = size
    return [_read(workspace, folder, files, users) for folder, files in sorted(found.items())]


def _read(workspace: Workspace, folder: str, files: dict[str, int], users: dict[str, list[str]]) -> FeatureSet:
    _, archive, _, extractor = folder.split("/")
    return FeatureSet(
        folder=folder,
        files=files,
        manifest=read_manifest(workspace, f"{folder}/{MANIFEST}"),
        archive=read_manifest(workspace, archive_manifest_path(archive)),
        gone=not workspace.files(f"archives/{archive}"),
        models=tuple(users.get(extractor, ())),
    )
