"""Removing features that nothing needs any more: first what would go, then that.

Never goes: what a manifest names, what a running extract of the archive as it is now makes, and, unless it is named,
what a model in the workspace takes.
"""

from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass

from tasks.archive.layout import manifest_path
from tasks.archive.leases import whole_workspace
from tasks.errors import WorkflowError
from tasks.features.catalog import FeatureSet, feature_sets
from tasks.storage.lease import lease
from tasks.storage.workspace import Workspace

_LEASE_S = 120.0


@dataclass(frozen=True)
class Removal:
    """Files of one folder that are to go, or the ``whole`` folder; ``why``: in words."""

    folder: str
    files: tuple[str, ...]
    bytes: int
    whole: bool
    why: str


def plan_prune(
    workspace: Workspace, archive: str | None = None, extractors: Collection[str] = (), unused: bool = False
) -> list[Removal]:
    """What would go: superseded files, and features of archives that are gone.

    ``extractors``: fingerprints whose features go as well, whoever takes them; ``unused``: and all that no model takes.

    Raises:
        WorkflowError: there are no features by an extractor that is named.
    """
    sets = feature_sets(workspace, archive)
    if unknown := set(extractors) - {features.place.extractor for features in sets}:
        existing = sorted({features.place.extractor for features in sets})
        raise WorkflowError(
            f"there are no features of extractor {', '.join(sorted(unknown))}\n"
            f"  there: {', '.join(existing) or 'none'}\n  see them with: sdt features list"
        )
    planned = (_removal(features, features.place.extractor in extractors, unused) for features in sets)
    return [removal for removal in planned if removal is not None]


def _removal(features: FeatureSet, named: bool, unused: bool) -> Removal | None:
    if named:
        return _whole(features, f"named, and taken by {', '.join(features.models)}" if features.models else "named")
    if features.gone:
        return _whole(features, "the archive is gone")
    if unused and not features.models and not features.precomputed:
        return _whole(features, "no model takes them")
    files = tuple(features.superseded)
    size = sum(features.files[path] for path in files)
    return Removal(features.folder, files, size, False, "superseded") if files else None


def _whole(features: FeatureSet, why: str) -> Removal:
    return Removal(features.folder, tuple(features.files), features.bytes, True, why)


def plan_and_prune(workspace: Workspace, plan: Callable[[], list[Removal]]) -> list[Removal]:
    """Plan what is to go while no run writes in the workspace, and remove it.

    Raises:
        WorkflowError: a run is under way; names it.
    """
    with lease(workspace, whole_workspace(), _LEASE_S) as claim:
        removals = plan()
        prune(workspace, removals, claim.check)
    return removals


def prune(workspace: Workspace, removals: Collection[Removal], fence: Callable[[], None] = lambda: None) -> None:
    """Remove what was planned; a folder's manifest first, as it says that all shards are there.

    Args:
        workspace: where it lies.
        removals: what was planned.
        fence: called before each of them; raises where a run has begun that may need it.
    """
    for removal in removals:
        fence()
        for path in sorted(removal.files, key=lambda path: path != manifest_path(removal.folder)):
            with suppress(FileNotFoundError):  # another prune took over while this one was held up
                workspace.remove(path)
        if removal.whole:
            workspace.remove_folder(removal.folder)
