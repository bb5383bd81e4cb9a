from datetime import UTC, datetime, timedelta

from flows.reports.status import status_page
from tasks.maintenance.status import ArchiveStatus
from tasks.registry.models import Production
from tasks.registry.runs import History, RunRecord
from tests.fixtures.pages import cells

DONE = ArchiveStatus("calls", 1234, 3, 3, {"text": "there"}, ())
BEHIND = ArchiveStatus("films", None, 0, 0, {}, (("sdt ingest KIND PATH --archive films", "it did not finish"),))

BEGAN = datetime(2026, 3, 1, 2, tzinfo=UTC)
FAILED = RunRecord(
    run_id="r", name="able-ant", command="sdt label calls", flow="sdt-label", archive="calls", config={}, user="ann",
    host="desk", process=None, state="failed", reason="the store is gone", began=BEGAN,
    renewed=BEGAN + timedelta(seconds=90), ended=BEGAN + timedelta(seconds=90),
)  # fmt: skip
KILLED = FAILED.model_copy(update={"state": "running", "reason": "", "ended": None})


def test_archives_what_is_missing_and_runs() -> None:
    page = status_page("./workspace", [DONE, BEHIND], Production(model_id="sdt-a"), History([FAILED, KILLED], {}))
    rows = cells(page)
    assert ["calls", "1,234", "3", "3", "text there", "yes"] in rows
    assert ["sdt ingest KIND PATH --archive films", "it did not finish"] in rows
    run = ["able-ant", "sdt-label", "calls", "ann@desk", "2026-03-01 02:00:00", "0:01:30"]
    assert [*run, "failed", "the store is gone"] in rows
    assert [*run, "dead", "killed, or its machine is gone; last sign of life at 02:01:30"] in rows
    assert "In production: sdt-a" in page


def test_an_empty_workspace() -> None:
    page = status_page("./workspace", [], None, History([], {}))
    assert "No archive" in page and "No run has begun yet." in page and "Nothing is missing." in page


def test_a_file_that_is_no_record_of_a_run_is_named() -> None:
    page = status_page("./workspace", [DONE], None, History([], {"runs/x.json": "not a run's record, or damaged"}))
    assert ["runs/x.json", "not a run's record, or damaged"] in cells(page)
