"""What `sdt status` prints."""

from collections.abc import Sequence

from flows.reports.markdown import table, together
from flows.reports.models import production_line
from flows.run_history import HEADER, Row
from tasks.maintenance.status import ArchiveStatus
from tasks.registry.models import Production


def status_page(
    workspace: str, archives: Sequence[ArchiveStatus], pointer: Production | None, runs: Sequence[Row] | None
) -> str:
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
            _runs(runs),
        ]
    )


def _runs(runs: Sequence[Row] | None) -> str:
    if runs is None:
        return "No Prefect server is named (PREFECT_API_URL), so runs are not listed."
    return table(HEADER, runs) if runs else "The Prefect server knows no run of ours."


def _number(utterances: int | None) -> int | str:
    return "unfinished" if utterances is None else utterances


def _features(archive: ArchiveStatus) -> str:
    return ", ".join(f"{modality} {state}" for modality, state in archive.features.items())
