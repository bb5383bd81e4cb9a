"""The fan-out over a real Ray: resume, retries, a poisoned shard, a worker that dies."""

import logging
import os
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pyarrow as pa
import pytest

from tasks.config.stages import Resources, StageConfig
from tasks.errors import StageFailed, StoreOut, WorkflowError
from tasks.executor import fan_out as fan_out_module
from tasks.executor.fan_out import fan_out
from tasks.executor.shard import Shard, ShardFunction, ShardOutput
from tasks.executor.stage import Stage, run_stage
from tasks.registry.encoders import minilm_folder
from tasks.storage.manifest import ShardFacts
from tasks.storage.workspace import Workspace

pytestmark = pytest.mark.usefixtures("ray_session")

MANIFEST = "out/_manifest.json"


class Last(ShardFacts):
    last: int


def count(calls: Path, shard: Shard[str]) -> ShardOutput:
    """Note the call, then make three rows; misbehave where the payload says so."""
    with (calls / f"{shard.index}").open("a") as file:
        file.write("x")
    attempt = len((calls / f"{shard.index}").read_text())
    how = shard.payload
    if how == "die once" and attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "fail twice" and attempt < 3:
        raise OSError("the network is down")
    if how == "always":
        raise ValueError("poison")
    if how == "store out twice" and attempt < 3:
        raise StoreOut("s3://bucket/x: the store does not answer")
    if how == "bad input":
        raise WorkflowError("row 3 is broken")
    return ShardOutput(pa.table({"n": [shard.index] * 3}), {"seen": 3}, Last(last=shard.index))


def prepare(calls: Path) -> ShardFunction:
    return partial(count, calls)


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    (tmp_path / "calls").mkdir()
    return tmp_path / "calls"


@pytest.fixture
def run(workspace: Workspace, calls: Path) -> Callable[..., object]:
    def run(how: dict[int, str] | None = None, shards: int = 5, fingerprint: str = "f", **more: object) -> object:
        units = tuple(Shard(i, f"out/part-{i}.parquet", (how or {}).get(i, "")) for i in range(shards))
        stage = Stage("count", fingerprint, MANIFEST, units, partial(prepare, calls))
        config = {"workspace": workspace.url, "archive": "a", "retries": 2} | more
        return run_stage(stage, StageConfig.model_validate(config))

    return run


def called(calls: Path) -> dict[int, int]:
    return {int(path.name): len(path.read_text()) for path in calls.iterdir()}


def test_every_shard_once_and_the_manifest_says_what_was_made(run: Callable, workspace: Workspace, calls: Path) -> None:
    manifest = run()
    assert called(calls) == dict.fromkeys(range(5), 1)
    assert manifest.rows == 15 and manifest.counts == {"seen": 15} and manifest.columns == {"n": "int64"}
    assert [Last.of(shard).last for shard in manifest.shards] == [0, 1, 2, 3, 4]
    assert workspace.exists(MANIFEST)


def test_running_again_does_nothing(run: Callable, calls: Path) -> None:
    assert run() == run()
    assert called(calls) == dict.fromkeys(range(5), 1)


def test_only_missing_shards_are_computed_and_the_manifest_is_the_same(
    run: Callable, workspace: Workspace, calls: Path
) -> None:
    first = run()
    workspace.remove(MANIFEST)
    workspace.remove("out/part-3.parquet")
    assert run() == first
    assert called(calls) == {0: 1, 1: 1, 2: 1, 3: 2, 4: 1}


def test_a_passing_fault_is_tried_again(run: Callable, calls: Path) -> None:
    assert run({1: "fail twice"}).rows == 15
    assert called(calls)[1] == 3


def test_a_worker_that_dies_costs_a_try(run: Callable, calls: Path) -> None:
    assert run({2: "die once"}).rows == 15
    assert called(calls)[2] == 2


def test_a_worker_that_restarts_costs_no_second_try(
    run: Callable, calls: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A shard that is tried again a moment later meets a worker that is known to be gone.
    monkeypatch.setattr(logging.getLogger("sdt.stage"), "warning", lambda *_: time.sleep(0.05))
    assert run(dict.fromkeys(range(5), "die once"), retries=1).rows == 15
    assert called(calls) == dict.fromkeys(range(5), 2)


def test_a_poisoned_shard_is_set_aside_by_name_and_the_others_are_done(
    run: Callable, workspace: Workspace, calls: Path
) -> None:
    with pytest.raises(StageFailed, match=r"(?s)1 of 5 shards set aside.*out/part-1\.parquet: ValueError: poison"):
        run({1: "always"})
    assert called(calls) == {0: 1, 1: 3, 2: 1, 3: 1, 4: 1}
    assert not workspace.exists(MANIFEST)
    assert run().rows == 15  # mended: only the poisoned one is computed
    assert called(calls) == {0: 1, 1: 4, 2: 1, 3: 1, 4: 1}


def test_a_fault_of_the_input_is_not_tried_again(run: Callable, calls: Path) -> None:
    with pytest.raises(StageFailed, match="row 3 is broken"):
        run({0: "bad input"})
    assert called(calls)[0] == 1


def test_a_shard_whose_store_is_out_is_tried_again_after_a_pause_that_grows(
    run: Callable, calls: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(fan_out_module, "_FIRST_PAUSE_S", 1.0)
    began = time.monotonic()
    run({1: "store out twice"})
    assert time.monotonic() - began > 1.0 + 2.0
    assert (calls / "1").read_text() == "xxx" and (calls / "0").read_text() == "x"
    assert "shard 1 failed (s3://bucket/x: the store does not answer), trying again" in caplog.text


def test_progress_is_one_line(run: Callable, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "sdt.stage"):
        run()
    assert "count: 5/5 shards done (0 found), 0 in flight, 0 waiting, 0 set aside" in caplog.messages[-1]


def test_asking_for_more_than_there_is_says_so(workspace: Workspace, calls: Path) -> None:
    stage = Stage("count", "f", MANIFEST, (Shard(0, "out/p.parquet"),), partial(prepare, calls))
    for resources, asked in (
        (Resources(cpus=64), "64 CPUs, 0 GPUs and 0 GB, and no node .*\n  they have 2 CPUs, 0 GPUs and "),
        (Resources(gpus=0.5), "1 CPUs, 0.5 GPUs and 0 GB"),
        (Resources(memory_gb=5e5), "1 CPUs, 0 GPUs and 500000 GB"),
    ):
        with pytest.raises(WorkflowError, match=f"a worker asks for {asked}"):
            run_stage(stage, StageConfig(workspace=workspace.url, archive="a", resources=resources))


def test_workers_with_memory_of_their_own_run(run: Callable) -> None:
    assert run(resources=Resources(cpus=0.5, memory_gb=0.1)).rows == 15


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
    found = fan_out("count", [Shard(0, "out/0.parquet")], tokenize, config)[0].counts
    assert found == {"started": cpus, "torch": cpus}
