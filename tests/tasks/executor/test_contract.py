"""What every executor keeps to: each test runs over Ray and without it, so that the two cannot drift apart."""

import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks import SHARD_LINES
from tasks.config.stages import RayConfig
from tasks.errors import StageFailed
from tasks.executor import scheduler
from tasks.executor.fan_out import fan_out
from tasks.executor.shard import describe_shard
from tasks.executor.stage import run_stage
from tasks.executor.watchdog import Watch
from tasks.storage.manifest import Aside
from tasks.storage.workspace import Workspace
from tests.fixtures.every_stage import run_every_stage, write_source
from tests.fixtures.executor.shards import MANIFEST, CountingStage

PRODUCTION = "models/production.json"  # says when it was written
OUT = "s3://bucket/x: the store does not answer"
AGAIN = "The other shards are done. Run the same command again: only these are tried."
PUT_RIGHT = "To run the same command again helps once what is named here has been put right."
FIVE = dict.fromkeys(range(5), 1)


@pytest.fixture
def shard_lines(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Also catches the line of every shard, which is not for a person."""
    logger = logging.getLogger(SHARD_LINES)
    logger.addHandler(caplog.handler)
    with caplog.at_level(logging.INFO, SHARD_LINES), caplog.at_level(logging.INFO, "sdt.stage"):
        yield caplog
    logger.removeHandler(caplog.handler)


def test_every_shard_is_done_once_and_the_manifest_says_what_was_made(
    counting: CountingStage, workspace: Workspace
) -> None:
    manifest = counting.run()
    assert counting.called == FIVE
    assert manifest.rows == 15 and manifest.counts == {"seen": 15} and manifest.columns == {"n": "int64"}
    assert [shard.facts["last"] for shard in manifest.shards] == [0, 1, 2, 3, 4]
    assert workspace.exists(MANIFEST)


def test_running_again_does_nothing(counting: CountingStage, caplog: pytest.LogCaptureFixture) -> None:
    first = counting.run()
    caplog.clear()
    with caplog.at_level(logging.INFO, "sdt.stage"):
        assert counting.run() == first
    assert counting.called == FIVE and counting.prepared == 1
    assert caplog.messages == ["count: nothing to do, 5 shards and 15 rows are there"]


def test_only_missing_shards_are_computed_and_the_manifest_is_the_same(
    counting: CountingStage, workspace: Workspace
) -> None:
    first = counting.run()
    workspace.remove(MANIFEST)
    workspace.remove("out/part-3.parquet")
    assert counting.run() == first
    assert counting.called == FIVE | {3: 2}


def test_where_nothing_is_missing_no_worker_is_prepared(
    counting: CountingStage, workspace: Workspace, shard_lines: pytest.LogCaptureFixture
) -> None:
    first = counting.run()
    workspace.remove(MANIFEST)
    shard_lines.clear()
    assert counting.run() == first
    assert counting.prepared == 1 and counting.called == FIVE
    assert [record.found for record in shard_lines.records if record.name == SHARD_LINES] == [True] * 5
    assert "count: 5/5 shards done (5 found), 0 in flight, 0 waiting, 0 set aside" in shard_lines.messages[-1]


def test_a_record_is_what_the_file_says(counting: CountingStage, workspace: Workspace) -> None:
    stage = counting.stage()
    records = fan_out("count", stage.shards, stage.prepare, counting.settings())
    assert sorted(records) == [0, 1, 2, 3, 4]
    assert all(records[shard.index] == describe_shard(workspace, shard) for shard in stage.shards)


def test_a_stage_without_shards_has_no_records(counting: CountingStage) -> None:
    assert fan_out("count", [], counting.prepare, counting.settings()) == {}
    assert counting.prepared == 0


def test_one_worker_does_the_shards_in_order_and_prepares_once(counting: CountingStage) -> None:
    counting.run()
    assert counting.order == [0, 1, 2, 3, 4] and counting.prepared == 1


def test_shards_of_one_source_follow_one_another(counting: CountingStage) -> None:
    run_stage(counting.stage(sources="abaab"), counting.settings())
    assert counting.order == [0, 2, 3, 1, 4]


def test_a_passing_fault_is_tried_again_after_the_others(
    counting: CountingStage, shard_lines: pytest.LogCaptureFixture
) -> None:
    assert counting.run({1: "fail twice"}).rows == 15
    assert counting.called == FIVE | {1: 3} and counting.order[-2:] == [1, 1]
    warned = [record.getMessage() for record in shard_lines.records if record.levelno == logging.WARNING]
    assert warned == ["count: shard 1 failed (OSError: the network is down), trying again"] * 2
    attempts = {record.shard: record.attempt for record in shard_lines.records if record.name == SHARD_LINES}
    assert attempts == FIVE | {1: 3}


@pytest.mark.parametrize("retries", [0, 1])
def test_a_fault_is_tried_again_as_often_as_configured(counting: CountingStage, retries: int) -> None:
    with pytest.raises(StageFailed, match="OSError: the network is down"):
        counting.run({1: "fail twice"}, retries=retries)
    assert counting.called == FIVE | {1: retries + 1}


def test_a_worker_that_could_not_be_prepared_is_prepared_again(counting: CountingStage) -> None:
    (counting.calls / "broken").touch()
    assert counting.run().rows == 15
    assert counting.prepared == 2 and counting.called == FIVE


def test_a_poisoned_shard_is_set_aside_by_name_and_the_others_are_done(
    counting: CountingStage, workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(StageFailed) as failure:
        counting.run({1: "always"})
    assert str(failure.value).splitlines() == [
        "count: 1 of 5 shards set aside",
        "  out/part-1.parquet: ValueError: poison",
        AGAIN,
    ]
    assert "count: shard 1 set aside: ValueError: poison" in caplog.messages
    assert counting.called == FIVE | {1: 3} and not workspace.exists(MANIFEST)
    assert counting.run().rows == 15  # mended: only the poisoned one is computed
    assert counting.called == FIVE | {1: 4}


def test_of_many_shards_set_aside_ten_are_named(counting: CountingStage) -> None:
    stage = counting.stage(dict.fromkeys(range(12), "bad input"), shards=12)
    with pytest.raises(StageFailed) as failure:
        run_stage(stage, counting.settings())
    first, *named, more, last = str(failure.value).splitlines()
    assert first == "count: 12 of 12 shards set aside" and more == "  and 2 more" and last == PUT_RIGHT
    assert len(named) == 10 and named == sorted(named)


def test_a_fault_of_the_input_is_not_tried_again_nor_is_that_advised(counting: CountingStage) -> None:
    with pytest.raises(StageFailed, match=r"out/part-0\.parquet: row 3 is broken") as failure:
        counting.run({0: "bad input"})
    assert counting.called == FIVE
    assert str(failure.value).splitlines()[-1] == f"The other shards are done. {PUT_RIGHT}"


def test_where_some_shards_may_get_through_the_advice_says_both(counting: CountingStage) -> None:
    with pytest.raises(StageFailed, match="Some fail until their input is put right; the rest may not: run the same"):
        counting.run({0: "bad input", 1: "always"})


def test_an_error_that_cannot_be_sent_is_told_all_the_same(counting: CountingStage) -> None:
    with pytest.raises(StageFailed, match="a hole in the floor"):
        counting.run({0: "two parts"})
    assert counting.called == FIVE | {0: 3}


def test_a_shard_whose_store_is_out_is_tried_again_after_a_pause_that_grows(
    counting: CountingStage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(scheduler, "FIRST_PAUSE_S", 0.25)
    began = time.monotonic()
    counting.run({1: "store out twice"})
    assert time.monotonic() - began > 0.25 + 0.5
    assert counting.called == FIVE | {1: 3}
    assert caplog.messages.count(f"count: shard 1 failed ({OUT}), trying again") == 2


def test_a_store_that_stays_out_costs_the_shard(counting: CountingStage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "FIRST_PAUSE_S", 0.0)
    with pytest.raises(StageFailed, match=f"part-1.parquet: {OUT}"):
        counting.run({1: "store out"})
    assert counting.called == FIVE | {1: 3}


def test_the_last_progress_line_says_what_became_of_the_shards(
    counting: CountingStage, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "sdt.stage"), pytest.raises(StageFailed):
        counting.run({2: "bad input"})
    assert "count: 4/5 shards done (0 found), 0 in flight, 0 waiting, 1 set aside" in caplog.messages[-1]


def test_a_shard_that_is_done_has_a_line_with_its_record(
    counting: CountingStage, shard_lines: pytest.LogCaptureFixture
) -> None:
    manifest = counting.run()
    lines = {record.shard: record for record in shard_lines.records if record.name == SHARD_LINES}
    assert lines[2].getMessage() == "count: shard 2 done" and lines[2].node and lines[2].seconds >= 0
    told = {name: getattr(lines[2], name) for name in ("stage", "path", "found", "rows", "bytes", "counts", "attempt")}
    assert told == {
        "stage": "count", "path": "out/part-2.parquet", "found": False, "rows": 3,
        "bytes": manifest.shards[2].bytes, "counts": {"seen": 3}, "attempt": 1,
    }  # fmt: skip


def test_files_set_aside_earlier_stay_aside_and_are_facts_of_the_shards(
    counting: CountingStage, caplog: pytest.LogCaptureFixture
) -> None:
    stage = counting.stage(watch=Watch(hung_after_s=60, aside={"f3": "its decoder crashed"}))
    manifest = run_stage(stage, counting.settings())
    assert manifest.aside == {"f3": Aside(reason="its decoder crashed", version="1")}
    assert all("aside" in shard.facts for shard in manifest.shards)
    assert "count: completed with 1 file set aside: f3" in caplog.messages


def test_a_shard_too_large_to_hold_is_a_stream(counting: CountingStage, workspace: Workspace) -> None:
    record = counting.run({1: "stream"}).shards[1]
    assert record.rows == 6 and record.counts == {"seen": 6}
    with workspace.parquet(record.path) as file:
        assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == [2, 1, 2, 1]


def test_a_stream_that_breaks_leaves_no_file(counting: CountingStage, workspace: Workspace) -> None:
    with pytest.raises(StageFailed, match="the second table is broken"):
        counting.run({1: "stream breaks"})
    assert [path for path in workspace.files("out") if "part-1" in path] == []


@pytest.mark.usefixtures("ray_session")
def test_both_write_the_same_bytes(workspace: Workspace, calls: Path) -> None:
    folders = []
    for executor in (RayConfig(), RayConfig(address="local")):
        there = Workspace(f"{workspace.url}-{executor.address}")
        manifest = CountingStage(there, calls, executor).run({1: "beside", 4: "beside"})
        folders.append({path: there.read_bytes(path) for path in there.files("")})
        assert manifest.rows == 15 and len(folders[-1]) == 8
    assert folders[0] == folders[1]


@pytest.mark.usefixtures("ray_session")
def test_all_stages_write_the_same_bytes_over_both(workspace: Workspace, tmp_path: Path) -> None:
    source, written = write_source(tmp_path), []
    for executor in (RayConfig(address="local"), RayConfig()):
        there = Workspace(f"{workspace.url}-{executor.address}")
        run_every_stage(there.url, source, executor)
        files = [path for path in there.files("") if "/timing/" not in path and path != PRODUCTION]
        written.append({path: there.read_bytes(path) for path in files})
    assert written[0] == written[1] and len(written[0]) > 20


def test_what_lies_beside_a_shard_is_published_with_it(counting: CountingStage, workspace: Workspace) -> None:
    counting.run({1: "beside"})
    assert workspace.read_table("out/beside/1.parquet")["n"].to_pylist() == [1, 1, 1]
