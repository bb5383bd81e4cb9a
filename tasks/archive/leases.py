"""What a run can hold a lease on."""

from tasks.archive.layout import label_leases, making_leases
from tasks.config.date_range import DateRange
from tasks.storage.lease import LeaseTarget


def labels_of(archive: str, period: DateRange) -> LeaseTarget:
    """Days of an archive's labels."""
    return LeaseTarget("label", f"labels of archive {archive!r}", label_leases(archive), period)


def making_of(stage: str, kind: str, name: str) -> LeaseTarget:
    """A model or an encoder in the making: its checkpoints and its files."""
    return LeaseTarget(stage, f"{kind} {name!r}", making_leases(kind, name))
