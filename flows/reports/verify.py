"""What `sdt verify` prints."""

from flows.reports.markdown import table, table_of_some, together
from sdt_model.markdown import escaped
from tasks.maintenance.verify import VerifyReport

_MOST = 50


def verify_page(archive: str, report: VerifyReport) -> str:
    """What was read again, the faults, and what else is worth knowing."""
    read = table(
        ("read again", "files", "rows"), [(what, n, report.rows.get(what, "")) for what, n in report.files.items()]
    )
    faults = [(fault.path, fault.what) for fault in report.faults]
    shown = table_of_some(("file", "fault"), faults, _MOST) if faults else "No faults."
    notes = "\n".join(f"- {escaped(note)}" for note in report.notes[:_MOST])
    return together(filter(None, [f"## Verify: archive {archive}", read, shown, notes]))
