"""The command line in a process of its own."""

import json
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.storage.workspace import Workspace
from tests.fixtures import archives as made
from tests.fixtures.command import SDT, environment, sdt, with_database
from tests.fixtures.models import promoted_model
from tests.tasks import test_query

HEAVY = {"torch", "ray", "prefect"}
# What the least of the commands cannot do without: about 0.6 s of a processor, of the 0.9 s that a query takes.
NEEDED = "import typer, pydantic, polars, pyarrow.parquet, fsspec.implementations.local"


def processor_s(code: str, errors: str, folder: Path) -> float:
    """Seconds of a processor that Python takes to run the code, which must succeed and print this error output."""
    begin = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment(folder), capture_output=True, text=True
    )
    end = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (done.returncode, done.stderr) == (0, errors)
    return end.ru_utime + end.ru_stime - begin.ru_utime - begin.ru_stime


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "here").mkdir()
    return tmp_path / "here"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["train", "--help"],
        ["finetune-text", "--help"],
        ["evaluate", "--help"],
        ["ablate", "--help"],
        ["demo", "--help"],
        ["query", "SELECT 1 AS one FROM labels"],
    ],
)
def test_help_and_query_come_at_once_and_import_nothing_heavy(folder: Path, arguments: list[str]) -> None:
    workspace = Workspace(str(folder / "workspace"))
    made.archive(workspace)
    test_query.labels(workspace)
    code = (
        f"import sys; sys.argv = ['sdt', *{arguments!r}]\n"
        "from flows.cli.app import main\n"
        "try: main()\n"
        f"finally: print(sorted({HEAVY!r} & set(sys.modules)), file=sys.stderr)"
    )
    both = [(processor_s(NEEDED, "", folder), processor_s(code, "[]\n", folder)) for _ in range(3)]
    needed, whole = (min(seconds) for seconds in zip(*both, strict=True))
    # Of the processor, not of the clock, and beside what cannot be left out: a busy or slow machine changes nothing.
    assert whole < 2.5 * needed


def test_query_prints_a_table_and_says_when_there_is_more(folder: Path) -> None:
    workspace = Workspace(str(folder / "elsewhere"))
    made.archive(workspace)
    test_query.labels(workspace)
    sql = "SELECT date, emotion, confidence FROM labels ORDER BY date"
    done = sdt("query", sql, "--workspace", "elsewhere", cwd=folder)
    assert done.returncode == 0 and done.stdout.count("joy") == 6 and done.stderr == ""
    short = sdt("query", sql, "--limit", "2", cwd=folder, SDT_WORKSPACE="elsewhere")
    assert short.stdout.count("joy") == 2 and "--limit" in short.stderr
    written = sdt("query", sql, "--out", "out.json", "--workspace", "elsewhere", cwd=folder)
    assert written.returncode == 0 and len(json.loads((folder / "out.json").read_text())) == 6


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["query", "SELECT 1 FROM labels"], "there are no utterances"),
        (["train", "x", "--recipe", "none"], "there is no recipe 'none'; there are: meld, meld-text, iemocap, demo"),
        (["train", "x", "--set", "training.optim.nope=1"], "valid here: learning_rate"),
        (
            ["train", "x", "--set", "workers=99"],
            "a batch of 16 conversations (batch_conversations) cannot be shared by 99",
        ),
        (["train", "x", "--seed", "-1"], "training.optim.seed: Input should be greater than or equal to 0"),
        (["ingest", "zip", "somewhere", "--archive", "x"], "kind: Input should be 'table', 'meld'"),
        (["label", "x", "--config", "none.toml"], "none.toml cannot be read: No such file"),
        (["label"], "Missing argument"),
        (["label", "x", "--since", "2026-11-07", "--until", "2026-11-01"], "since (2026-11-07) is after until"),
        (["label", "x", "--date", "yesterday"], "since: Input should be a valid date"),
        (["label", "x", "--date", "2026-11-07", "--since", "2026-11-01"], "--date is one day alone"),
        (["evaluate", "x", "--set", "seeds=[1, 1]"], "seeds: a seed is given twice: [1, 1]"),
        (["evaluate", "x", "--set", "promote=true"], "promote: there is no such field"),
        (["nonsense"], "No such command"),
    ],
)
def test_an_error_is_one_block_and_exit_code_1(folder: Path, arguments: list[str], said: str) -> None:
    done = sdt(*arguments, cwd=folder)
    assert done.returncode == 1 and done.stdout == "" and said in done.stderr
    assert "Traceback" not in done.stderr and list(folder.iterdir()) == []


def test_the_traceback_is_shown_when_asked_for(folder: Path) -> None:
    done = sdt("query", "SELECT 1 FROM labels", "--debug", cwd=folder)
    assert done.returncode == 1 and "Traceback" in done.stderr and "WorkflowError" in done.stderr


def test_help_names_every_field(folder: Path) -> None:
    shown = sdt("train", "--help", cwd=folder).stdout
    assert re.search(r"training\.optim\.seed = 0\n +Seeds initial weights", shown) and "archive = (required)" in shown
    assert "training.model.hidden = 96" in sdt("demo", "--help", cwd=folder).stdout


@pytest.mark.slow
def test_label_runs_without_a_server_and_writes_nothing_outside(folder: Path) -> None:
    workspace = Workspace(str(folder / "workspace"))
    archive = made.archive(workspace)
    promoted_model(workspace)
    with_database(folder / ".sdt" / "prefect")
    before = {path.name for path in folder.parent.iterdir()}
    done = sdt("label", "made", "--set", "ray.cpus=2", "--set", "workers=1", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert f"| {archive.rows:>10,} |" in done.stdout and str(folder / "workspace/labels/made") in done.stdout
    assert re.search(r"^\d\d:\d\d:\d\d  label: 3/3 shards done", done.stderr, re.M)
    assert not re.search(r"prefect|Traceback|Warning|worker\.py", done.stderr)
    assert {path.name for path in folder.iterdir()} == {"workspace", ".sdt"}
    assert {path.name for path in folder.parent.iterdir()} - before == {"here-home"}
    command = done.stdout.split("Next: sdt ")[1]
    asked = subprocess.run(f"{SDT} {command}", shell=True, cwd=folder, capture_output=True, text=True)
    assert asked.returncode == 0 and "emotion" in asked.stdout


@pytest.mark.slow
def test_evaluate_shows_scores_and_writes_them_down(folder: Path) -> None:
    workspace = Workspace(str(folder / "workspace"))
    made.archive(workspace)
    with_database(folder / ".sdt" / "prefect")
    few = ["training.optim.epochs=1", "training.model.hidden=16", "seeds=[5]", "draws=50", "ray.cpus=2"]
    other = promoted_model(workspace).model_id
    done = sdt("evaluate", "made", "--against", other, *(f"--set={field}" for field in few), cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "## Evaluate: archive made, seeds 5" in done.stdout and f"Beside {other}" in done.stdout
    (report,) = (path for path in workspace.files("evaluations") if path.endswith(".json"))
    assert f"`{workspace.uri(report)}`" in done.stdout
    assert "evaluate: seed 5 (1 of 1)" in done.stderr and "epoch 1/1" in done.stderr


@pytest.mark.slow
def test_a_stage_s_own_error_is_one_block(folder: Path) -> None:
    made.archive(Workspace(str(folder / "workspace")))
    with_database(folder / ".sdt" / "prefect")
    alone = ["--set", 'modalities=["text"]', "--set", "training.model.transformers=inter"]
    done = sdt("train", "made", *alone, "--set", "ray.cpus=1", cwd=folder)
    assert done.returncode == 1 and "transformers from one modality to another need two" in done.stderr
    assert done.stderr.count("error: ") == 1 and "Traceback" not in done.stderr


def test_a_variant_that_there_is_not_is_said_before_anything_is_started(folder: Path) -> None:
    made.archive(Workspace(str(folder / "workspace")))
    done = sdt("ablate", "made", "--set", 'variants=["without luck"]', cwd=folder)
    assert done.returncode == 1 and "there is no variant 'without luck'" in done.stderr
    assert "without self-distillation" in done.stderr and "only text+audio" in done.stderr
    assert done.stderr.count("error: ") == 1 and "Traceback" not in done.stderr
    assert not list(folder.rglob("*.db"))


def test_an_archive_that_is_not_there_is_named_before_anything_is_started(folder: Path) -> None:
    done = sdt("label", "nowhere", cwd=folder)
    lines = done.stderr.splitlines()
    assert done.returncode == 1 and lines[1].startswith("error: archive 'nowhere' is not in") and len(lines) == 4
    assert not list(folder.rglob("*.db"))
