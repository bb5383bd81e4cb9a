"""Extract from the command line where there is nothing to do."""

import pytest

from flows.cli.runner import after_extract
from tasks.config.stages import ExtractConfig, IngestConfig
from tasks.extract.stage import extract
from tasks.ingest.stage import ingest
from tests.fixtures.command import CommandLine
from tests.fixtures.executor.local import LOCAL
from tests.fixtures.models import promoted_model


@pytest.mark.long
def test_what_is_all_there_is_shown_without_starting_anything(sdt: CommandLine) -> None:
    here = sdt.folder
    (here / "calls.csv").write_text("conversation_id,turn,text,emotion\na,0,hello,joy\nb,0,bye,\n")
    where = {"workspace": sdt.workspace.url, "archive": "calls", "ray": LOCAL}
    ingest(IngestConfig(**where, kind="table", path=str(here / "calls.csv")))
    extract(ExtractConfig(**where), "text")
    done = sdt("extract", "calls", "--set", "extractors.text=minilm")
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    assert done.stdout.endswith("Next: sdt train calls --set extractors.text=minilm\n")
    (row,) = (line for line in done.stdout.splitlines() if line.startswith("| text"))
    assert [cell.strip() for cell in row.strip("|").split("|")] == ["text", "minilm", "384", "2", "0", "0", "0"]
    assert {path.name for path in here.iterdir()} == {"calls.csv", "workspace"}, "neither Prefect nor Ray was started"


def test_what_is_next_is_what_can_work(sdt: CommandLine, capsys: pytest.CaptureFixture[str]) -> None:
    (sdt.folder / "calls.csv").write_text("conversation_id,turn,text,emotion\na,0,hello,\nb,0,bye,NA\n")
    where = {"workspace": sdt.workspace.url, "archive": "calls", "ray": LOCAL}
    ingest(IngestConfig(**where, kind="table", path=str(sdt.folder / "calls.csv")))
    assert after_extract(ExtractConfig(**where)) is None and "No utterance is annotated" in capsys.readouterr().out
    promoted_model(sdt.workspace)
    assert after_extract(ExtractConfig(**where)) == "sdt label calls"
