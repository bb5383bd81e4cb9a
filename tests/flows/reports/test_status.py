from flows.reports.status import status_page
from tasks.maintenance.status import ArchiveStatus
from tasks.registry.models import Production
from tests.fixtures.pages import cells

DONE = ArchiveStatus("calls", 1234, 3, 3, {"text": "there"}, ())
BEHIND = ArchiveStatus("films", None, 0, 0, {}, (("sdt ingest KIND PATH --archive films", "it did not finish"),))


def test_archives_what_is_missing_and_runs() -> None:
    run = ("able-ant", "sdt-label", "2026-03-01 02:00", "Failed", "the store is gone")
    page = status_page("./workspace", [DONE, BEHIND], Production(model_id="sdt-a"), [run])
    rows = cells(page)
    assert ["calls", "1,234", "3", "3", "text there", "yes"] in rows
    assert ["sdt ingest KIND PATH --archive films", "it did not finish"] in rows and list(run) in rows
    assert "In production: sdt-a" in page


def test_an_empty_workspace_without_a_server() -> None:
    page = status_page("./workspace", [], None, None)
    assert "No archive" in page and "PREFECT_API_URL" in page and "Nothing is missing." in page
    assert "knows no run of ours" in status_page("./workspace", [], None, [])
