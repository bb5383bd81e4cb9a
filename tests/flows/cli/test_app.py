"""The command line, in this process; what it imports is seen in one of its own."""

import json
import re
import resource
import shlex
import subprocess
import sys

import pytest

from tasks.storage.workspace import Workspace
from tests.fixtures import archives as made
from tests.fixtures.command import CommandLine, environment
from tests.fixtures.labels import write_labels
from tests.fixtures.models import promoted_model

# What the least of the commands cannot do without: about 0.6 s of a processor, of the 0.9 s that a query takes.
NEEDED = "import typer, pydantic, polars, pyarrow.parquet, fsspec.implementations.local"
LOCAL = ["--set", "ray.address=local"]
COMMANDS = """
import sys
from flows.cli.app import main
for arguments in (["--help"], ["train", "--help"], ["finetune-text", "--help"], ["evaluate", "--help"],
                  ["ablate", "--help"], ["demo", "--help"], ["query", "SELECT 1 AS one FROM labels"]):
    sys.argv = ["sdt", *arguments]
    try:
        main()
    except SystemExit as ending:
        assert ending.code == 0, arguments
print(sorted({"torch", "ray", "prefect"} & set(sys.modules)), file=sys.stderr)
"""


def processor_s(code: str, errors: str, sdt: CommandLine) -> float:
    """Seconds of a processor that Python takes to run the code, which must succeed and print this error output."""
    begin = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=sdt.folder, env=environment(sdt.folder), capture_output=True, text=True
    )
    end = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (done.returncode, done.stderr) == (0, errors)
    return end.ru_utime + end.ru_stime - begin.ru_utime - begin.ru_stime


@pytest.mark.long
def test_help_and_query_come_at_once_and_import_nothing_heavy(sdt: CommandLine) -> None:
    made.archive(sdt.workspace)
    write_labels(sdt.workspace)
    both = [(processor_s(NEEDED, "", sdt), processor_s(COMMANDS, "[]\n", sdt)) for _ in range(2)]
    needed, whole = (min(seconds) for seconds in zip(*both, strict=True))
    # Of the processor, not of the clock, and beside what cannot be left out: a busy or slow machine changes nothing.
    assert whole < 2.5 * needed


def test_what_a_query_prints_moves_no_cursor(sdt: CommandLine) -> None:
    made.archive(sdt.workspace)
    done = sdt("query", "SELECT 'a\x1b]0;gone\x07\u202eb\tc' AS t FROM utterances LIMIT 1")
    assert "a\ufffd]0;gone\ufffd\ufffdb c" in done.stdout and "\x1b" not in done.stdout


def test_query_prints_a_table_and_says_when_there_is_more(sdt: CommandLine) -> None:
    elsewhere = Workspace(str(sdt.folder / "elsewhere"))
    made.archive(elsewhere)
    write_labels(elsewhere)
    sql = "SELECT date, emotion, confidence FROM labels ORDER BY date"
    done = sdt("query", sql, "--workspace", "elsewhere")
    assert done.returncode == 0 and done.stdout.count("joy") == 6 and done.stderr == ""
    short = sdt("query", sql, "--limit", "2", SDT_WORKSPACE="elsewhere")
    assert short.stdout.count("joy") == 2 and "--limit" in short.stderr
    written = sdt("query", sql, "--out", "out.json", "--workspace", "elsewhere")
    assert written.returncode == 0 and len(json.loads((sdt.folder / "out.json").read_text())) == 6


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["query", "SELECT 1 FROM labels"], "there are no utterances"),
        (["train", "x", "--recipe", "none"], "there is no recipe 'none'; there are: meld, meld-text, iemocap, demo"),
        (
            ["train", "x", "--set", "training.optim.nope=1"],
            "optim.nope: there is no such field\n    valid here: ",
        ),
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
def test_an_error_is_one_block_and_exit_code_1(sdt: CommandLine, arguments: list[str], said: str) -> None:
    done = sdt(*arguments)
    assert done.returncode == 1 and done.stdout == "" and said in done.stderr
    assert "Traceback" not in done.stderr and list(sdt.folder.iterdir()) == []


def test_the_traceback_is_shown_when_asked_for(sdt: CommandLine) -> None:
    done = sdt("query", "SELECT 1 FROM labels", "--debug")
    assert done.returncode == 1 and "Traceback" in done.stderr and "WorkflowError" in done.stderr


def test_help_names_every_field(sdt: CommandLine) -> None:
    shown = sdt("train", "--help").stdout
    assert (
        re.search(r"training\.optim\.seed = 0\n +Seed of the initial weights", shown)
        and "archive = (required)" in shown
    )
    assert "training.model.hidden = 96" in sdt("demo", "--help").stdout


@pytest.mark.long
def test_label_runs_without_a_server_and_writes_nothing_outside(sdt: CommandLine) -> None:
    workspace = sdt.workspace
    archive = made.archive(workspace)
    promoted_model(workspace)
    before = {path.name for path in sdt.folder.parent.iterdir()}
    done = sdt("label", "made", *LOCAL, "--set", "workers=1")
    assert done.returncode == 0, done.stderr
    assert f"| {archive.rows:>10,} |" in done.stdout and str(sdt.folder / "workspace/labels/made") in done.stdout
    assert re.search(r"^\d\d:\d\d:\d\d  label: 3/3 shards done", done.stderr, re.M)
    assert not re.search(r"prefect|Traceback|Warning|worker\.py", done.stderr)
    assert {path.name for path in sdt.folder.iterdir()} == {"workspace"}
    assert {path.name for path in sdt.folder.parent.iterdir()} - before == {"home"}
    asked = sdt(*shlex.split(done.stdout.split("Next: sdt ")[1]))
    assert asked.returncode == 0 and "emotion" in asked.stdout


@pytest.mark.long
def test_evaluate_shows_scores_and_writes_them_down(sdt: CommandLine) -> None:
    workspace = sdt.workspace
    made.archive(workspace)
    few = ["training.optim.epochs=1", "training.model.hidden=16", "seeds=[5]", "draws=50", "ray.address=local"]
    other = promoted_model(workspace).model_id
    done = sdt("evaluate", "made", "--against", other, *(f"--set={field}" for field in few))
    assert done.returncode == 0, done.stderr
    assert "## Evaluate: archive made, seeds 5" in done.stdout and f"Beside {other}" in done.stdout
    (report,) = (path for path in workspace.files("evaluations") if path.endswith(".json"))
    assert f"`{workspace.uri(report)}`" in done.stdout
    assert "evaluate: seed 5 (1 of 1)" in done.stderr and "epoch 1/1" in done.stderr


def test_a_stage_s_own_error_is_one_block(sdt: CommandLine) -> None:
    made.archive(sdt.workspace)
    alone = ["--set", 'modalities=["text"]', "--set", "training.model.transformers=inter"]
    done = sdt("train", "made", *alone, *LOCAL)
    assert done.returncode == 1 and "transformers from one modality to another need two" in done.stderr
    assert done.stderr.count("error: ") == 1 and "Traceback" not in done.stderr


def test_a_variant_that_there_is_not_is_said_before_anything_is_started(sdt: CommandLine) -> None:
    made.archive(sdt.workspace)
    done = sdt("ablate", "made", "--set", 'variants=["without luck"]')
    assert done.returncode == 1 and "there is no variant 'without luck'" in done.stderr
    assert "without self-distillation" in done.stderr and "only text+audio" in done.stderr
    assert done.stderr.count("error: ") == 1 and "Traceback" not in done.stderr
    assert not list(sdt.folder.rglob("*.db"))


def test_an_archive_that_is_not_there_is_named_before_anything_is_started(sdt: CommandLine) -> None:
    done = sdt("label", "nowhere")
    lines = done.stderr.splitlines()
    assert done.returncode == 1 and lines[1].startswith("error: archive 'nowhere' is not in") and len(lines) == 4
    assert not list(sdt.folder.rglob("*.db"))


def test_an_ingest_that_rejects_much_ends_in_a_state_of_its_own(sdt: CommandLine) -> None:
    (sdt.folder / "x.csv").write_text("conversation_id,turn,text\n" + "".join(f"c{i % 3},0,hi\n" for i in range(30)))
    arguments = ["ingest", "table", "x.csv", "--archive", "x", *LOCAL]
    for _ in range(2):  # the second time there is nothing to do, and it is no better
        done = sdt(*arguments)
        assert done.returncode == 4, done.stderr
        assert "CompletedWithRejections: completed with 27 of 30 rows rejected, 27 as duplicates" in done.stdout
        assert "Next: sdt query --archive x" in done.stdout and "sdt extract" not in done.stdout
    assert "completed with rejections" in sdt("status").stdout
    fine = sdt(*arguments, "--set", "most_rejected=0.9")
    assert fine.returncode == 0 and fine.stdout.endswith("Next: sdt extract x\n")


def test_an_ingest_that_accepts_nothing_fails_and_does_not_say_to_try_again(sdt: CommandLine) -> None:
    (sdt.folder / "x.csv").write_text("conversation_id,turn,text\n,0,hi\n")
    done = sdt("ingest", "table", "x.csv", "--archive", "x", *LOCAL)
    assert done.returncode == 1 and done.stdout == "" and "none of the 1 rows of x.csv can be used" in done.stderr
    (sdt.folder / "x.csv").write_text('conversation_id,turn,text\nc,0,"hi\n')
    done = sdt("ingest", "table", "x.csv", "--archive", "x", *LOCAL)
    assert done.returncode == 1 and "again helps once what is named here has been put right" in done.stderr
    assert "other shards are done" not in done.stderr
