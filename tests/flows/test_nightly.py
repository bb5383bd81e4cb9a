"""Seven nights over one archive that grows, with all that goes wrong, against one clean run over everything."""

import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import polars.testing
import pytest

from tasks.config.stages import ExtractConfig, IngestConfig, LabelConfig
from tasks.extract.stage import extract
from tasks.ingest.stage import ingest
from tasks.label.stage import label
from tasks.query import scan_labels
from tasks.registry.models import promote
from tasks.storage.workspace import Workspace
from tests.fixtures.command import environment, kill_once, with_database
from tests.fixtures.models import promoted_model

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("ray_session")]

CHECKOUT = Path(__file__).parents[2]
DAYS = [f"2026-03-0{day}" for day in range(1, 8)]
EMPTY = DAYS[4]
SAID = ("what a day", "I cannot stand it", "so be it", "never again", "come here", "that is great")


def arrivals(folder: Path) -> list[str]:
    """A file of what arrives on each of the seven days; each day but the fifth has ten conversations of its own."""
    folder.mkdir()
    written = []
    for number, day in enumerate(DAYS, 1):
        noon = datetime.fromisoformat(day).replace(hour=12, tzinfo=UTC)
        rows = [] if day == EMPTY else [u(f"d{number}-{i}", t, noon) for i in range(10) for t in range(1 + i % 4)]
        if day == DAYS[1]:
            rows.append(u("over-midnight", 0, noon + timedelta(hours=11, minutes=58)))
        if day == DAYS[2]:
            rows.append(u("over-midnight", 1, noon - timedelta(hours=11, minutes=59)))
            rows.append(u("d1-0", 9, noon - timedelta(days=2)))  # two days late
        (folder / f"{day}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        written.append(str(folder / f"{day}.jsonl"))
    return written


def u(conversation: str, turn: int, when: datetime) -> dict[str, object]:
    text = f"{SAID[(len(conversation) + 3 * turn + when.day) % len(SAID)]}, {conversation}"
    speaker = "AB"[turn % 2]
    return {
        "conversation_id": conversation, "turn": turn, "speaker": speaker, "text": text, "occurred_at": str(when),
    }  # fmt: skip


def start(cwd: Path, workspace: Workspace, source: Path, nights: list) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.fixtures.nights", workspace.url, str(source), json.dumps(nights)]
    log = (cwd / "nights.log").open("a")
    surroundings = environment(cwd, PYTHONPATH=str(CHECKOUT))
    return subprocess.Popen(
        command, cwd=cwd, env=surroundings, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True
    )


def reports(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    assert process.stdout is not None
    return [json.loads(line) for line in process.stdout if line.startswith("{")]


def killed_in(day: str, process: subprocess.Popen[str], workspace: Workspace, log: Path) -> dict[str, int]:
    """Kill the driver once it has labelled some shards of a day; those, and when each was made (ns)."""
    kill_once(lambda: made_at(workspace, day), 2, process, log, seconds=500)
    return made_at(workspace, day)


def made_at(workspace: Workspace, day: str) -> dict[str, int]:
    files = workspace.files(f"labels/made/date={day}")
    return {path: Path(workspace.path(path)).stat().st_mtime_ns for path in files}


def clean_runs(workspace: Workspace, source: Path) -> dict[str, pl.DataFrame]:
    """The rows that each model gives for everything at once."""
    made = {"workspace": workspace.url, "archive": "made", "workers": 1}
    ingest(IngestConfig(**made, kind="table", path=str(source), shards=8))
    extract(ExtractConfig(**made), "text")
    found = {}
    for name in ("sdt-old", "sdt-new"):
        label(LabelConfig(**made, model=name))
        found[name] = scan_labels(workspace).collect().sort("conversation_id", "turn")
    return found


@pytest.mark.timeout(1200)
def test_seven_nights_give_the_labels_of_a_clean_run(tmp_path: Path) -> None:
    arrived = arrivals(tmp_path / "arrivals")
    workspace, clean = Workspace(str(tmp_path / "workspace")), Workspace(str(tmp_path / "clean"))
    for name in ("sdt-old", "sdt-new"):
        promoted_model(workspace, name, ("text",))
    promote(workspace, "sdt-old")
    shutil.copytree(workspace.url, clean.url)
    source = tmp_path / "source"
    source.mkdir()

    first = [(arrived[0:1], DAYS[0], None), (arrived[1:2], DAYS[1], None), ([], DAYS[1], None)]
    first += [(arrived[2:3], DAYS[2], None), (arrived[3:4], DAYS[3], None)]
    with_database(tmp_path / ".sdt" / "prefect")
    process = start(tmp_path, workspace, source, first)
    there = killed_in(DAYS[3], process, workspace, tmp_path / "nights.log")
    assert there and not any(path.endswith("_manifest.json") for path in there)
    plain, second, twice, late_ones = reports(process)
    assert (plain["made"], second["made"], twice["made"]) == ([DAYS[0]], [DAYS[1]], [])
    assert twice["days"] == second["days"], "labelling a day twice changes nothing"
    assert late_ones["made"] == DAYS[:3], "what came late and what went on past midnight changed the days before"

    then = [([], DAYS[3], None), (arrived[4:5], EMPTY, None)]
    then += [(arrived[5:7], DAYS[5], None), ([], DAYS[6], "sdt-new")]  # the sixth ran when the seventh's were there
    process = start(tmp_path, workspace, source, then)
    restarted, empty, late, newer = reports(process)
    assert process.wait() == 0, (tmp_path / "nights.log").read_text()
    assert restarted["made"] == [DAYS[3]]
    assert there.items() <= made_at(workspace, DAYS[3]).items(), "a shard that was finished was computed again"
    assert (empty["rows"], empty["made"], empty["outdated"]) == (0, [], {})
    assert late["made"] == [DAYS[5]] and late["outdated"] == {DAYS[6]: "never labelled"}
    assert newer["made"] == [DAYS[6]] and newer["outdated"] == {} and workspace.files("leases") == []

    wanted = clean_runs(clean, source)
    last = pl.col("date").cast(pl.String) == DAYS[6]
    expected = pl.concat([wanted["sdt-old"].filter(~last), wanted["sdt-new"].filter(last)])
    found = scan_labels(workspace).collect()
    keys = ["conversation_id", "turn"]
    same = (frame.sort(keys).drop("run_id") for frame in (found, expected))
    pl.testing.assert_frame_equal(*same, check_exact=False, rel_tol=1e-4, abs_tol=1e-5)
    homes = dict(found.select("conversation_id", pl.col("date").cast(pl.String)).iter_rows())
    assert (homes["over-midnight"], homes["d1-0"]) == (DAYS[1], DAYS[0])
