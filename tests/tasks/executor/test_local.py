"""What the executor without Ray has alone: it is in this process, and leaves it as it was."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
import torch

from tasks.config.stages import RayConfig, Resources, StageConfig
from tasks.executor.fan_out import fan_out
from tasks.executor.shard import Shard, ShardFunction, ShardOutput
from tasks.executor.stage import run_stage
from tasks.executor.watchdog import Watch
from tasks.storage.workspace import Workspace
from tests.fixtures.executor.shards import CountingStage

LOCAL = RayConfig(address="local")


@pytest.fixture
def counting(workspace: Workspace, calls: Path) -> CountingStage:
    """A stage of five shards in this process."""
    return CountingStage(workspace, calls, LOCAL)


def test_it_runs_in_this_process_whatever_workers_and_resources_are_asked_for(counting: CountingStage) -> None:
    assert counting.run(workers=7, resources=Resources(cpus=64, gpus=8, memory_gb=5e5)).rows == 15
    assert (counting.calls / "prepared").read_text() == f"{os.getpid()}\n"


def interrupted() -> ShardFunction:
    def work(_: Shard) -> ShardOutput:
        raise KeyboardInterrupt

    return work


def test_an_interrupt_ends_it_at_once(workspace: Workspace) -> None:
    config = StageConfig(workspace=workspace.url, archive="a", ray=LOCAL)
    with pytest.raises(KeyboardInterrupt):
        fan_out("count", [Shard(0, "out/0.parquet")], interrupted, config)
    assert workspace.files("out") == []


def test_a_watched_stage_says_once_that_nothing_is_isolated(
    counting: CountingStage, caplog: pytest.LogCaptureFixture
) -> None:
    stage = counting.stage(watch=Watch(hung_after_s=60))
    run_stage(stage, counting.settings())
    line = "count: runs in this process: a file that crashes or hangs its decoder ends it"
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == [line]
    caplog.clear()
    fan_out("count", stage.shards, stage.prepare, counting.settings(), stage.watch)  # nothing is missing
    assert line not in caplog.messages


def threads() -> ShardFunction:
    """Notes how many threads libraries are allowed."""

    def work(_: Shard) -> ShardOutput:
        allowed = {"torch": torch.get_num_threads(), "omp": int(os.environ["OMP_NUM_THREADS"])}
        return ShardOutput(pa.table({"n": [0]}), allowed)

    return work


@pytest.mark.parametrize(
    ("configured", "surroundings", "count"), [(1, None, 1), (3, None, 3), (3, "2", 2), (3, "2,1", 2), (3, "odd", 3)]
)
def test_libraries_use_as_many_threads_as_in_a_worker_of_ray_s_and_then_as_before(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, configured: int, surroundings: str | None, count: int
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if surroundings:
        monkeypatch.setenv("OMP_NUM_THREADS", surroundings)
    before = torch.get_num_threads()
    config = StageConfig(workspace=workspace.url, archive="a", ray=LOCAL, resources=Resources(cpus=configured))
    record = fan_out("count", [Shard(0, "out/0.parquet")], threads, config)[0]
    assert record.counts == {"torch": count, "omp": count}
    assert torch.get_num_threads() == before and os.environ.get("OMP_NUM_THREADS") == surroundings


NO_RAY = """
import sys
from pathlib import Path
from tests.fixtures.every_stage import LOCAL, run_every_stage, write_source

run_every_stage("workspace", write_source(Path.cwd()), LOCAL)
print([name for name in sys.modules if name.split(".")[0] == "ray"])
"""


@pytest.mark.process
def test_no_stage_imports_ray(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", NO_RAY], cwd=tmp_path, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(Path.cwd())},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
