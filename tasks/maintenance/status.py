"""Status: what a workspace holds of each archive, and what is missing until all of it is labelled by production."""

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
from tasks.storage.manifest import Manifest
from tasks.storage.workspace import Workspace


@dataclass(frozen=True)
class ArchiveStatus:
    """One archive.

    Attributes:
        utterances: that were accepted; None where its ingest did not finish.
        days: with conversations.
        labelled: days with labels of their conversations as they are, whichever model made them.
        features: for each modality that the model in production takes whether its features are there.
        missing: the commands that do what is left, in their order, and why.
    """

    name: str
    utterances: int | None
    days: int
    labelled: int
    features: dict[str, str]
    missing: tuple[tuple[str, str], ...]


def workspace_status(workspace: Workspace) -> list[ArchiveStatus]:
    """Every archive, by name."""
    current = production(workspace)
    bundle = find_bundle(workspace, current) if current else None
    return [_status(workspace, name, bundle) for name in archive_names(workspace)]


def _status(workspace: Workspace, name: str, bundle: Bundle | None) -> ArchiveStatus:
    if not workspace.exists(archive_manifest_path(name)):
        return ArchiveStatus(name, None, 0, 0, {}, ((f"sdt ingest KIND PATH --archive {name}", "it did not finish"),))
    archive = read_archive(workspace, name)
    states, manifests, missing = _features(workspace, name, archive, bundle)
    try:
        days = archive_days(archive, name, manifests)
    except WorkflowError as error:  # of an earlier version; the other archives are shown all the same
        return ArchiveStatus(
            name, archive.rows, 0, 0, states, ((f"sdt ingest KIND PATH --archive {name}", str(error)),)
        )
    labelled = labelled_days(workspace, name, label_files(workspace, name))
    behind = all_out_of_date(days, labelled)
    if bundle is None:
        missing = [(f"sdt train {name}", "no model is in production")]
    elif left := behind | _by_others(labelled, bundle, behind):
        first, why = next(iter(left.items()))
        missing.append((f"sdt label {name}", f"{len(left)} days, such as {first}: {why}"))
    return ArchiveStatus(name, archive.rows, len(days), len(days.keys() - behind.keys()), states, tuple(missing))


def _by_others(labelled: dict[str, Manifest], bundle: Bundle, behind: dict[str, str]) -> dict[str, str]:
    """Days with labels that are those of their conversations, and not of this model."""
    made_by = {day: LabelFacts.of(manifest).model_id for day, manifest in labelled.items() if day not in behind}
    return {day: f"labelled by {model}" for day, model in made_by.items() if model != bundle.model_id}


def _features(
    workspace: Workspace, name: str, archive: Manifest, bundle: Bundle | None
) -> tuple[dict[str, str], list[Manifest | None], list[tuple[str, str]]]:
    """The state of each modality's features, their manifests, and what makes those that are missing."""
    states: dict[str, str] = {}
    manifests: list[Manifest | None] = []
    missing: list[tuple[str, str]] = []
    for modality, source in bundle.features.items() if bundle else ():
        found = complete_features(workspace, name, modality, source.fingerprint)
        manifests.append(found)
        if found is None and not has_modality(archive, modality):
            states[modality] = "none in the archive"
        elif found is not None and found.is_of(archive):
            states[modality] = "there"
        else:
            states[modality] = "missing" if found is None else "out of date"
            missing.append((f"sdt extract {name} {source.assignment(modality)}", f"{modality} {states[modality]}"))
    return states, manifests, missing
