"""Status of a workspace: the state of each archive, and the commands left until production has labelled all of it."""

from dataclasses import dataclass

from sdt_model.bundle import Bundle
from tasks.archive.facts import LabelFacts
from tasks.archive.layout import archive_manifest_path
from tasks.archive.manifests import archive_names, has_modality, read_archive
from tasks.errors import WorkflowError
from tasks.features.reader import complete_features
from tasks.label.days import all_out_of_date, archive_days
from tasks.label.manifests import label_files, labelled_days
from tasks.registry.models import find_bundle, production
from tasks.storage.manifest import Manifest, incomplete_shards, usable_manifest
from tasks.storage.workspace import Workspace


@dataclass(frozen=True)
class ArchiveStatus:
    """State of one archive.

    Attributes:
        utterances: number of accepted ones; None where the ingest did not finish.
        days: number of days with conversations.
        labelled: number of days whose labels, by any model, fit their conversations.
        features: state of the features of each modality that the model in production reads.
        missing: the commands that are left, in their order, each with its reason.
    """

    name: str
    utterances: int | None
    days: int
    labelled: int
    features: dict[str, str]
    missing: tuple[tuple[str, str], ...]


def workspace_status(workspace: Workspace) -> list[ArchiveStatus]:
    """Report every archive, by name."""
    current = production(workspace)
    bundle = find_bundle(workspace, current) if current else None
    return [_status(workspace, name, bundle) for name in archive_names(workspace)]


def _status(workspace: Workspace, name: str, bundle: Bundle | None) -> ArchiveStatus:
    if not workspace.exists(archive_manifest_path(name)):
        return ArchiveStatus(name, None, 0, 0, {}, ((f"sdt ingest KIND PATH --archive {name}", "it did not finish"),))
    archive = read_archive(workspace, name)
    states, features, missing = _features(workspace, name, archive, bundle)
    try:
        days = archive_days(archive, name, features)
    except WorkflowError as error:  # of an earlier version; the other archives are shown all the same
        return ArchiveStatus(
            name, archive.rows, 0, 0, states, ((f"sdt ingest KIND PATH --archive {name}", str(error)),)
        )
    files = label_files(workspace, name)
    manifests = labelled_days(workspace, name, files, usable_manifest)
    labelled = {day: m for day, m in manifests.items() if not incomplete_shards(workspace, m.shards, files[day])}
    behind = all_out_of_date(days, labelled)
    if bundle is None:
        missing = [(f"sdt train {name}", "no model is in production")]
    elif left := behind | _by_others(labelled, bundle, behind):
        first, why = next(iter(left.items()))
        missing.append((f"sdt label {name}", f"{len(left)} days, such as {first}: {why}"))
    return ArchiveStatus(name, archive.rows, len(days), len(days.keys() - behind.keys()), states, tuple(missing))


def _by_others(labelled: dict[str, Manifest], bundle: Bundle, behind: dict[str, str]) -> dict[str, str]:
    """Days whose labels fit their conversations but come from another model."""
    models = {day: LabelFacts.of(manifest).model_id for day, manifest in labelled.items() if day not in behind}
    return {day: f"labelled by {model}" for day, model in models.items() if model != bundle.model_id}


def _features(
    workspace: Workspace, name: str, archive: Manifest, bundle: Bundle | None
) -> tuple[dict[str, str], list[Manifest | None], list[tuple[str, str]]]:
    """Report each modality's features: their state, their manifests, and the commands for those that are missing."""
    states: dict[str, str] = {}
    manifests: list[Manifest | None] = []
    missing: list[tuple[str, str]] = []
    for modality, source in bundle.features.items() if bundle else ():
        manifest = complete_features(workspace, name, modality, source.fingerprint)
        manifests.append(manifest)
        if manifest is None and not has_modality(archive, modality):
            states[modality] = "none in the archive"
        elif manifest is not None and manifest.is_of(archive):
            states[modality] = "there"
        else:
            states[modality] = "missing" if manifest is None else "out of date"
            missing.append((f"sdt extract {name} {source.assignment(modality)}", f"{modality} {states[modality]}"))
    return states, manifests, missing
