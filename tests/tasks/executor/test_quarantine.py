"""Files that crash or hang their decoder, over a real Ray: each costs itself, and is named."""

import json
import logging

import polars as pl
import pytest

from tasks.archive.layout import timing_path
from tasks.config.stages import IngestConfig
from tasks.executor.quarantine import Death, Quarantine
from tasks.executor.watchdog import Watch
from tasks.extract.stage import extract
from tasks.ingest.stage import ingest
from tasks.storage.manifest import Manifest
from tasks.storage.workspace import Workspace
from tests.fixtures.archives import stamps
from tests.fixtures.executor import faulty
from tests.fixtures.executor.faulty import faulty_settings, write_recordings

pytestmark = pytest.mark.usefixtures("ray_session", "faulty_extractor")


@pytest.fixture
def faulty_extractor() -> None:
    faulty.install()


def run(workspace: Workspace, **more: object) -> Manifest:
    manifest = extract(faulty_settings(workspace, **more), "audio")
    assert manifest is not None
    return manifest


def rows(workspace: Workspace, manifest: Manifest) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(workspace.path(shard.path)) for shard in manifest.shards])


def lost(workspace: Workspace, manifest: Manifest) -> dict[str, set[str]]:
    """For each recording that some vector is missing of, the reasons."""
    without = rows(workspace, manifest).filter(pl.col("vector").is_null())
    pairs = without.select(pl.col("conversation_id").str.replace("c", "f"), "reason").rows()
    return {name: {reason for of, reason in pairs if of == name} for name, _ in pairs}


def test_a_file_that_crashes_or_hangs_its_decoder_costs_itself_alone(
    workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    write_recordings(workspace, f3="abort", f5="abort", f8="hang")
    with caplog.at_level(logging.INFO, "sdt.stage"):
        manifest = run(workspace)
    crashed, hung = "its decoder crashed", "its decoder hung for more than 3 s"
    assert lost(workspace, manifest) == {"f3": {crashed}, "f5": {crashed}, "f8": {hung}}
    assert {name: why.reason for name, why in manifest.aside.items()} == {"f3": crashed, "f5": crashed, "f8": hung}
    assert manifest.counts == {"rows": 36, "present": 27, "failed": 9, "absent": 0}
    assert "extract-audio: file f8 set aside: its decoder hung for more than 3 s; shard" in caplog.text
    assert "extract-audio: completed with 3 files set aside: f3, f5, f8" in caplog.text
    # Nothing is left to do, and nothing is tried again.
    before = stamps(workspace, "features")
    assert run(workspace) == manifest and stamps(workspace, "features") == before


def test_a_file_in_hand_when_a_machine_dies_is_tried_again(workspace: Workspace) -> None:
    write_recordings(workspace, f3="once", f7="once")
    manifest = run(workspace)
    assert manifest.aside == {} and manifest.counts["present"] == 36


def test_without_retries_the_first_crash_counts(workspace: Workspace) -> None:
    write_recordings(workspace, f3="once")
    assert list(run(workspace, retries=0).aside) == ["f3"]


def test_a_file_stays_aside_until_its_content_changes_or_it_is_asked_for(workspace: Workspace) -> None:
    media = write_recordings(workspace, f3="abort", f5="abort")
    first = run(workspace)
    before = stamps(workspace, "features")
    (media / "f3").write_text("fine now")
    second = run(workspace)
    assert list(second.aside) == ["f5"] and list(lost(workspace, second)) == ["f5"]
    again = [shard.path for shard in first.shards if "f3" in shard.facts.get("aside", {})]
    made = {
        path
        for path, stamp in stamps(workspace, "features").items()
        if path.endswith(".parquet") and before[path] != stamp
    }
    assert made == set(again)
    # Of the shard that is made anew only the file's own utterances are read again.
    assert [workspace.read_table(timing_path(path))["utterances"].to_pylist() for path in again] == [[3]]
    assert list(run(workspace, retry_set_aside=True).aside) == ["f5"]


def test_what_was_set_aside_is_passed_over_in_an_archive_that_has_grown(
    workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    media = write_recordings(workspace, f3="abort")
    run(workspace)
    with (media / "table.jsonl").open("a") as table:
        table.write(json.dumps({"conversation_id": "c3", "turn": 9, "audio": "f3"}) + "\n")
    ingest(IngestConfig(workspace=workspace.url, archive="a", kind="table", path=str(media / "table.jsonl"), shards=3))
    caplog.clear()
    with caplog.at_level(logging.INFO, "sdt.stage"):
        manifest = run(workspace)
    assert list(manifest.aside) == ["f3"] and manifest.counts["failed"] == 4
    assert "3/3 shards done (2 found)" in caplog.text and "died" not in caplog.text


def test_with_several_files_in_hand_no_one_is_blamed() -> None:
    import ray

    quarantine = Quarantine(Watch(60), retries=2)
    watchdog = quarantine.link(0, one_at_a_time=False).watchdog
    for _ in range(3):
        for ticket, name in enumerate(("f1", "f2")):
            ray.get(watchdog.begin.remote(0, str(ticket), name))
        assert quarantine.worker_died(0) == Death(["f1", "f2"])
    ray.get(watchdog.begin.remote(0, "1", "f1"))
    assert (
        quarantine.worker_died(0) == Death(["f1"]) and quarantine.aside == {} and quarantine.worker_died(0) == Death([])
    )
    ray.get(watchdog.begin.remote(1, "1", "f1"))  # in another worker
    assert quarantine.worker_died(1) == Death(["f1"], "f1") and list(quarantine.aside) == ["f1"]
    quarantine.dismiss()
