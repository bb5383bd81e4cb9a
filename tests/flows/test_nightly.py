"""Seven nights over one archive that grows, with all that goes wrong, against one clean run over everything."""

import json
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import polars.testing
import pytest

from tasks.config.stages import ExtractConfig, ExtractorNames, IngestConfig, LabelConfig
from tasks.extract.stage import extract
from tasks.ingest.stage import ingest
from tasks.label.stage import label
from tasks.query import scan_labels
from tasks.registry.models import promote
from tasks.storage.manifest import MANIFEST
from tasks.storage.workspace import Workspace
from tests.fixtures import letters
from tests.fixtures.command import environment
from tests.fixtures.executor.local import LOCAL
from tests.fixtures.models import promoted_model
from tests.fixtures.nights import KILLED_AFTER, Night, run_night

pytestmark = pytest.mark.process

CHECKOUT = Path(__file__).parents[2]
DAYS = [f"2026-03-0{day}" for day in range(1, 8)]
EMPTY = DAYS[4]
EXTRACTORS = ExtractorNames(text=letters.NAME)  # which takes no time to load: no night tries the real one
SAID = ("what a day", "I cannot stand it", "so be it", "never again", "come here", "that is great")


def arrivals(folder: Path) -> list[Path]:
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
        written.append(folder / f"{day}.jsonl")
        written[-1].write_text("".join(json.dumps(row) + "\n" for row in rows))
    return written


def u(conversation: str, turn: int, when: datetime) -> dict[str, object]:
    text = f"{SAID[(len(conversation) + 3 * turn + when.day) % len(SAID)]}, {conversation}"
    speaker = "AB"[turn % 2]
    return {
        "conversation_id": conversation, "turn": turn, "speaker": speaker, "text": text, "occurred_at": str(when),
    }  # fmt: skip


def killed(night: Night, cwd: Path) -> dict[str, int]:
    """Run a night in a process that is killed while it labels; its day's files, and when each was made (ns)."""
    command = [sys.executable, "-m", "tests.fixtures.nights", night.model_dump_json()]
    done = subprocess.run(
        command, cwd=cwd, env=environment(cwd, PYTHONPATH=str(CHECKOUT)), capture_output=True, text=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    return made_at(Workspace(night.workspace), night.day)


def made_at(workspace: Workspace, day: str) -> dict[str, int]:
    files = workspace.files(f"labels/made/date={day}")
    return {path: Path(workspace.path(path)).stat().st_mtime_ns for path in files}


def clean_runs(workspace: Workspace, source: Path) -> dict[str, pl.DataFrame]:
    """The rows that each model gives for everything at once."""
    where = {"workspace": workspace.url, "archive": "made", "ray": LOCAL}
    ingest(IngestConfig(**where, kind="table", path=str(source), shards=8))
    extract(ExtractConfig(**where, extractors=EXTRACTORS), "text")
    labels = {}
    for name in ("sdt-old", "sdt-new"):
        label(LabelConfig(**where, model=name))
        labels[name] = scan_labels(workspace).collect().sort("conversation_id", "turn")
    return labels


def test_seven_nights_give_the_labels_of_a_clean_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "")
    letters.install()
    arrived = arrivals(tmp_path / "arrivals")
    workspace, clean = Workspace(str(tmp_path / "workspace")), Workspace(str(tmp_path / "clean"))
    for name in ("sdt-old", "sdt-new"):
        promoted_model(workspace, name, ("text",), EXTRACTORS)
    promote(workspace, "sdt-old")
    shutil.copytree(workspace.url, clean.url)
    source = tmp_path / "source"
    source.mkdir()

    def night(files: slice, day: str, model: str | None = None) -> Night:
        return Night(workspace=workspace.url, source=source, arrivals=tuple(arrived[files]), day=day, model=model)

    nothing = slice(0)
    plain = run_night(night(slice(0, 1), DAYS[0]))
    second = run_night(night(slice(1, 2), DAYS[1]))
    twice = run_night(night(nothing, DAYS[1]))
    late_ones = run_night(night(slice(2, 3), DAYS[2]))
    assert (plain.new_days, second.new_days, twice.new_days) == ((DAYS[0],), (DAYS[1],), ())
    assert twice.days == second.days, "labelling a day twice changes nothing"
    assert late_ones.new_days == tuple(DAYS[:3]), (
        "what came late and what went on past midnight changed the days before"
    )

    finished = killed(night(slice(3, 4), DAYS[3]), tmp_path)
    assert len(finished) == KILLED_AFTER and not any(path.endswith(MANIFEST) for path in finished)
    restarted = run_night(night(nothing, DAYS[3]))
    assert restarted.new_days == (DAYS[3],)
    assert finished.items() < made_at(workspace, DAYS[3]).items(), "a shard that was finished was computed again"

    empty = run_night(night(slice(4, 5), EMPTY))
    late = run_night(night(slice(5, 7), DAYS[5]))  # the sixth ran when the seventh's were there
    newer = run_night(night(nothing, DAYS[6], "sdt-new"))
    assert (empty.rows, empty.new_days, empty.outdated) == (0, (), {})
    assert late.new_days == (DAYS[5],) and late.outdated == {DAYS[6]: "never labelled"}
    assert newer.new_days == (DAYS[6],) and newer.outdated == {} and workspace.files("leases") == []

    wanted = clean_runs(clean, source)
    last = pl.col("date").cast(pl.String) == DAYS[6]
    expected = pl.concat([wanted["sdt-old"].filter(~last), wanted["sdt-new"].filter(last)])
    labels = scan_labels(workspace).collect()
    keys = ["conversation_id", "turn"]
    same = (frame.sort(keys).drop("run_id") for frame in (labels, expected))
    pl.testing.assert_frame_equal(*same, check_exact=False, rel_tol=1e-4, abs_tol=1e-5)
    homes = dict(labels.select("conversation_id", pl.col("date").cast(pl.String)).iter_rows())
    assert (homes["over-midnight"], homes["d1-0"]) == (DAYS[1], DAYS[0])
