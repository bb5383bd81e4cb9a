"""Extract from the command line where there is nothing to do."""

from tasks.config.stages import ExtractConfig, IngestConfig
from tasks.extract.stage import extract
from tasks.ingest.stage import ingest
from tests.fixtures.command import CommandLine
from tests.fixtures.executor.local import LOCAL


def test_what_is_all_there_is_shown_without_starting_anything(sdt: CommandLine) -> None:
    here = sdt.folder
    (here / "calls.csv").write_text("conversation_id,turn,text\na,0,hello\nb,0,bye\n")
    where = {"workspace": sdt.workspace.url, "archive": "calls", "ray": LOCAL}
    ingest(IngestConfig(**where, kind="table", path=str(here / "calls.csv")))
    extract(ExtractConfig(**where), "text")
    done = sdt("extract", "calls", "--set", "extractors.text=minilm")
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    assert done.stdout.endswith("Next: sdt train calls --set extractors.text=minilm\n")
    (row,) = (line for line in done.stdout.splitlines() if line.startswith("| text"))
    assert [cell.strip() for cell in row.strip("|").split("|")] == ["text", "minilm", "384", "2", "0", "0"]
    assert {path.name for path in here.iterdir()} == {"calls.csv", "workspace"}, "neither Prefect nor Ray was started"
