"""What a run can hold a lease on: one rule for all who write in a workspace.

Who makes the same holds a lease on it: an archive, the features of it by one extractor, days of its labels, a model, an
encoder, an evaluation, the pointer to the model in production. Who removes what nothing names holds a lease that all of
those are in the way of, as it is in the way of them.
"""

from sdt_model.config import Modality
from tasks.archive.layout import (
    LEASES,
    PRODUCTION_LEASES,
    PRUNE_LEASES,
    archive_leases,
    features_leases,
    label_leases,
    making_leases,
)
from tasks.config.date_range import DateRange
from tasks.storage.lease_note import LeaseTarget

_PRUNE = (PRUNE_LEASES,)


def archive_of_ingest(archive: str) -> LeaseTarget:
    """An archive's utterances, and the features that come with them."""
    return LeaseTarget("ingest", f"archive {archive!r}", archive_leases(archive), rivals=_PRUNE)


def features_of(archive: str, modality: Modality, extractor: str) -> LeaseTarget:
    """One extractor's features of an archive; ``extractor``: its fingerprint."""
    what = f"{modality} features ({extractor}) of archive {archive!r}"
    return LeaseTarget(f"extract-{modality}", what, features_leases(archive, modality, extractor), rivals=_PRUNE)


def labels_of(archive: str, period: DateRange) -> LeaseTarget:
    """Days of an archive's labels."""
    return LeaseTarget("label", f"labels of archive {archive!r}", label_leases(archive), period, _PRUNE)


def making_of(stage: str, kind: str, name: str) -> LeaseTarget:
    """A model or an encoder in the making: its checkpoints and its files."""
    return LeaseTarget(stage, f"{kind} {name!r}", making_leases(kind, name), rivals=_PRUNE)


def evaluation_of(stage: str, archive: str, settings: str) -> LeaseTarget:
    """An evaluation of an archive; ``settings``: their fingerprint."""
    name = f"{stage}-{archive}-{settings}"
    return LeaseTarget(stage, f"{stage} of archive {archive!r}", making_leases("evaluation", name), rivals=_PRUNE)


def production_pointer() -> LeaseTarget:
    """Which model is in production."""
    return LeaseTarget("promote", "the pointer to the model in production", PRODUCTION_LEASES)


def whole_workspace() -> LeaseTarget:
    """All that runs write, while what nothing names is removed."""
    return LeaseTarget("prune", "what can be removed from the workspace", PRUNE_LEASES, rivals=(LEASES,))
