"""What the executor over Ray has alone: workers that die, and nodes that have too little."""

import logging
import time
from pathlib import Path

import pyarrow as pa
import pytest

from tasks.config.stages import RayConfig, Resources, StageConfig
from tasks.errors import WorkflowError
from tasks.executor.fan_out import fan_out
from tasks.executor.shard import Shard, ShardFunction, ShardOutput
from tasks.executor.stage import run_stage
from tasks.registry.encoders import minilm_folder
from tasks.storage.workspace import Workspace
from tests.fixtures.executor.shards import CountingStage

pytestmark = pytest.mark.usefixtures("ray_session")


@pytest.fixture
def counting(workspace: Workspace, calls: Path) -> CountingStage:
    """A stage of five shards over Ray."""
    return CountingStage(workspace, calls, RayConfig(), config={})


def test_a_worker_that_dies_costs_a_try(counting: CountingStage) -> None:
    assert counting.run({2: "die once"}).rows == 15
    assert counting.called[2] == 2


def test_a_worker_that_restarts_costs_no_second_try(counting: CountingStage, monkeypatch: pytest.MonkeyPatch) -> None:
    # A shard that is tried again a moment later meets a worker that is known to be gone.
    monkeypatch.setattr(logging.getLogger("sdt.stage"), "warning", lambda *_: time.sleep(0.05))
    assert counting.run(dict.fromkeys(range(5), "die once"), retries=1).rows == 15
    assert counting.called == dict.fromkeys(range(5), 2)


def test_asking_for_more_than_there_is_says_so(counting: CountingStage) -> None:
    for resources, asked in (
        (Resources(cpus=64), "64 CPUs, 0 GPUs and 0 GB, and no node .*\n  they have 2 CPUs, 0 GPUs and "),
        (Resources(gpus=0.5), "1 CPUs, 0.5 GPUs and 0 GB"),
        (Resources(memory_gb=5e5), "1 CPUs, 0 GPUs and 500000 GB"),
    ):
        with pytest.raises(WorkflowError, match=f"count: a worker asks for {asked}"):
            run_stage(counting.stage(), counting.settings(resources=resources))


def test_workers_with_memory_of_their_own_run(counting: CountingStage) -> None:
    assert counting.run(resources=Resources(cpus=0.5, memory_gb=0.1)).rows == 15


def tokenize() -> ShardFunction:
    """Notes by how many threads the process has grown, and what torch may use."""

    def work(_: Shard) -> ShardOutput:
        import torch
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(minilm_folder(), local_files_only=True)
        before = len(list(Path("/proc/self/task").iterdir()))
        tokenizer(["some words to be split"] * 500)
        started = len(list(Path("/proc/self/task").iterdir())) - before
        return ShardOutput(pa.table({"n": [0]}), {"started": started, "torch": torch.get_num_threads()})

    return work


@pytest.mark.parametrize("cpus", [1, 2])
def test_a_worker_s_libraries_use_as_many_threads_as_it_has_cores(workspace: Workspace, cpus: int) -> None:
    config = StageConfig(workspace=workspace.url, archive="a", workers=1, resources=Resources(cpus=cpus))
    counts = fan_out("count", [Shard(0, "out/0.parquet")], tokenize, config)[0].counts
    assert counts == {"started": cpus, "torch": cpus}
