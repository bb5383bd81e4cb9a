"""A run in which files crash or hang their decoder completes, and its Prefect state and exit code say that it did."""

import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple, cast

import pytest
from prefect.states import State

from flows.run_state import WITH_FAULTS, ended
from tasks.storage.manifest import Aside, Manifest, ShardFacts, ShardRecord
from tasks.storage.workspace import Workspace
from tests.fixtures.command import environment, with_database
from tests.fixtures.faulty import HANG_S, faulty_settings, write_recordings

ROOT = Path(__file__).parents[2]
# `sdt` as it is installed, but for an extractor more; then what Prefect knows of the run.
DRIVER = """
import json, sys
from flows.cli.app import main
from tests.fixtures import faulty

faulty.install()
try:
    main()
except SystemExit as ending:
    code = ending.code
from prefect import get_client
from prefect.client.schemas.sorting import FlowRunSort

with get_client(sync_client=True) as client:
    (run,) = client.read_flow_runs(sort=FlowRunSort.START_TIME_DESC, limit=1)
print(json.dumps([run.state.type.value, run.state.name, run.state.message]))
sys.exit(code)
"""


class Ended(NamedTuple):
    code: int
    table: list[str]  # the page's
    errors: str
    state: list[str | None]  # type, name and message


def sdt_extract(workspace: Workspace) -> Ended:
    """Run `sdt extract` over the archive, in a process of its own."""
    here = Path(workspace.url).parent
    (here / "home").mkdir(exist_ok=True)
    config = faulty_settings(workspace)
    given = ("extractors.audio=" + config.extractors.audio, f"hung_after_s={HANG_S:g}", "retries=0", "ray.cpus=2")
    assigned = [word for value in given for word in ("--set", value)]
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, "extract", "a", "--workspace", workspace.url, *assigned],
        cwd=here, env=environment(here / "home", PYTHONPATH=str(ROOT)), capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.stdout, done.stderr
    *page, state = done.stdout.splitlines()
    return Ended(done.returncode, [line for line in page if line.startswith("|")], done.stderr, json.loads(state))


def manifest(*aside: str) -> Manifest:
    facts = ShardFacts(aside={name: Aside(reason="its decoder crashed", version="1") for name in aside})
    record = ShardRecord(index=0, path="x.parquet", rows=1, bytes=1, sha256="0" * 64, facts=facts.plain())
    return Manifest(stage="extract-audio", fingerprint="f", shards=(record,), columns={})


def test_a_flow_ends_with_its_result_unless_some_modality_set_a_file_aside() -> None:
    result = {"audio": manifest(), "visual": None}
    assert ended(result, result) is result
    both = {"text": None, "audio": manifest("x.wav"), "visual": manifest("x.wav", "y.mp4")}
    state = cast(State, ended(both, both))
    assert state.is_completed() and state.name == WITH_FAULTS
    assert state.message == "completed with 2 files set aside: x.wav, y.mp4"
    assert state.result() is both
    state = cast(State, ended(both, {"audio": manifest("x.wav")}))
    assert state.message == "completed with 1 file set aside: x.wav"


@pytest.mark.slow
@pytest.mark.usefixtures("ray_session")
def test_a_run_that_sets_files_aside_says_so_and_so_does_one_that_finds_it_done(
    workspace: Workspace,
) -> None:
    write_recordings(workspace, f3="abort", f8="hang")
    with_database(Path(workspace.url).parent / ".sdt" / "prefect")
    first = sdt_extract(workspace)
    faults = ["COMPLETED", "CompletedWithFaults", "completed with 2 files set aside: f3, f8"]
    assert (first.code, first.state) == (3, faults), first.errors
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in first.table]
    assert ["audio", "f3", "its decoder crashed"] in rows
    assert ["audio", "f8", "its decoder hung for more than 3 s"] in rows
    # A run that finds everything done has the same to say.
    again = sdt_extract(workspace)
    assert (again.code, again.state, again.table) == (3, faults, first.table), again.errors
