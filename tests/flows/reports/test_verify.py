from pathlib import Path

from typer.testing import CliRunner

from flows.cli.app import app
from flows.reports.verify import verify_page
from tasks.maintenance.verify import Fault, VerifyReport
from tasks.storage.workspace import Workspace
from tests.fixtures import archives as made
from tests.fixtures.pages import cells


def test_faults_and_notes_stand_below_what_was_read() -> None:
    faults = tuple(Fault(path=f"labels/{n}", what="it is not there") for n in range(53))
    page = verify_page("calls", VerifyReport(files={"labels": 60}, rows={"labels": 1234}, faults=faults, notes=("so",)))
    rows = cells(page)
    assert ["labels", "60", "1,234"] in rows and ["labels/0", "it is not there"] in rows
    assert "and 3 more" in page and page.endswith("- so")
    assert "No faults." in verify_page("calls", VerifyReport(files={}, rows={}, faults=(), notes=()))


def test_the_command_ends_with_1_where_something_is_wrong(workspace: Workspace) -> None:
    archive = made.archive(workspace)
    arguments = ["verify", "made", "--workspace", workspace.url, "--set", 'parts=["features"]']
    assert CliRunner().invoke(app, arguments).exit_code == 0
    features = next(path for path in workspace.files("features") if path.endswith(".parquet"))
    Path(workspace.path(features)).unlink()
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 1 and "it is not there" in done.output and archive.rows
