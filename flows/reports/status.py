"""What `sdt status` prints."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from flows.reports.markdown import table, table_of_some, together
from flows.reports.models import production_line
from tasks.maintenance.status import ArchiveStatus
from tasks.registry.models import Production
from tasks.registry.runs import History, RunRecord

_MOST_FILES = 10


def status_page(workspace: str, archives: Sequence[ArchiveStatus], pointer: Production | None, history: History) -> str:
    """Archives, the model in production, what is missing and what does it, and the last runs."""
    rows = [
        (a.name, _number(a.utterances), a.days, a.labelled, _features(a), "" if a.missing else "yes") for a in archives
    ]
    header = ("archive", "utterances", "days", "labelled", "features of the model", "complete")
    missing = [(command, why) for archive in archives for command, why in archive.missing]
    return together(
        [
            f"## Workspace {workspace}",
            table(header, rows) if rows else "No archive. Bring one in with: sdt ingest KIND PATH --archive NAME",
            production_line(pointer),
            table(("missing", "because"), missing) if missing else "Nothing is missing.",
            *_runs(history),
        ]
    )


def _runs(history: History) -> list[str]:
    """The last runs of everyone who uses the workspace, and the files that are no records of any."""
    header = ("run", "flow", "archive", "by", "began (UTC)", "took", "state", "because")
    strange = [(path, reason) for path, reason in history.unreadable.items()]
    return [
        table(header, [_run(record) for record in history.records]) if history.records else "No run has begun yet.",
        *(
            [table_of_some(("file among the records of runs", "why it is not listed"), strange, _MOST_FILES)]
            if strange
            else []
        ),
    ]


def _run(record: RunRecord) -> Sequence[object]:
    dead = record.is_dead()
    reason = (
        f"killed, or its machine is gone; last sign of life at {record.renewed:%H:%M:%S}" if dead else record.reason
    )
    until = record.renewed if dead else record.ended or datetime.now(UTC)
    took = str(timedelta(seconds=round((until - record.began).total_seconds())))
    began, by = f"{record.began:%Y-%m-%d %H:%M:%S}", f"{record.user}@{record.host}"
    return record.name, record.flow, record.archive, by, began, took, "dead" if dead else record.state, reason


def _number(utterances: int | None) -> int | str:
    return "unfinished" if utterances is None else utterances


def _features(archive: ArchiveStatus) -> str:
    return ", ".join(f"{modality} {state}" for modality, state in archive.features.items())
