"""The history of runs in a workspace: what is written, who is dead, and what cannot be read."""

import os
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tasks.registry import runs
from tasks.registry.runs import Recording, RunRecord, ended_records, new_record, read_history, without_secrets
from tasks.storage.process import Process
from tasks.storage.workspace import Workspace

ELSEWHERE = Process(pid=1, started=1, boot="another machine", namespace="pid:[1]")


def record(**more: object) -> RunRecord:
    begun = new_record("able-ant", "sdt-label", "sdt label calls", "calls", {"archive": "calls"})
    return begun.model_copy(update=more)


def written(workspace: Workspace, number: int, **more: object) -> RunRecord:
    """A record of the run with this number, in a workspace."""
    found = record(run_id=f"20260301T{number:06d}Z-label-{number:06x}", **more)
    workspace.write_json(f"runs/{found.run_id}.json", found.model_dump(mode="json"))
    return found


def test_a_run_is_listed_while_it_is_under_way_and_with_what_it_did_when_it_has_ended(workspace: Workspace) -> None:
    recording = Recording(workspace, record())
    recording.begin()
    (now,) = read_history(workspace, 10).records
    assert (now.state, now.ended, now.is_dead()) == ("running", None, False)
    assert (now.command, now.archive, now.config) == ("sdt label calls", "calls", {"archive": "calls"})
    recording.end("completed with warning", "emotions unlike before", {"ok": 7}, ("labels/calls",))
    (then,) = read_history(workspace, 10).records
    assert (then.state, then.reason, then.counts) == ("completed with warning", "emotions unlike before", {"ok": 7})
    assert then.outputs == (workspace.uri("labels/calls"),) and then.ended is not None and then.began <= then.ended
    assert workspace.files("runs") == [f"runs/{now.run_id}.json"]


def test_the_last_runs_come_first(workspace: Workspace) -> None:
    ids = [written(workspace, number).run_id for number in range(4)]
    assert [found.run_id for found in read_history(workspace, 3).records] == ids[:0:-1]


def test_a_record_is_renewed_while_its_run_lives(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "RENEWED_EVERY_S", 0.01)
    seen, renewed = [], threading.Event()
    write = Workspace.write_json

    def watched(self: Workspace, path: str, content: object) -> None:
        write(self, path, content)
        seen.append(path)
        if len(seen) == 3:
            renewed.set()

    monkeypatch.setattr(Workspace, "write_json", watched)
    recording = Recording(workspace, record())
    recording.begin()
    assert renewed.wait(60)
    recording.end("completed")
    (found,) = read_history(workspace, 10).records
    assert found.state == "completed" and found.renewed > found.began


def test_a_run_of_another_machine_is_dead_once_it_has_missed_several_renewals() -> None:
    far = record(process=ELSEWHERE)
    assert not far.is_dead(far.renewed + timedelta(seconds=4 * runs.RENEWED_EVERY_S))
    assert far.is_dead(far.renewed + timedelta(seconds=6 * runs.RENEWED_EVERY_S))
    unknown = record(process=None)
    assert not unknown.is_dead() and unknown.is_dead(unknown.renewed + timedelta(hours=1))


def test_a_run_of_this_machine_is_dead_at_once_and_one_that_ended_never() -> None:
    here = record()
    assert here.process is not None
    gone = here.model_copy(update={"process": here.process.model_copy(update={"started": 0})})
    assert gone.is_dead() and not here.is_dead(datetime.now(UTC) + timedelta(days=1))
    assert not gone.model_copy(update={"state": "failed"}).is_dead()


def test_a_file_that_is_no_record_is_named_and_the_others_are_read(workspace: Workspace) -> None:
    good = written(workspace, 1)
    workspace.write_bytes("runs/20260301T000002Z-label-000002.json", b'{"half')
    workspace.write_json("runs/20260301T000003Z-label-000003.json", {"some": "thing else"})
    workspace.write_json("runs/20260301T000004Z-label-000004.json", good.model_dump(mode="json"))
    undated = good.model_dump(mode="json") | {"run_id": "20260301T000005Z-label-000005", "renewed": "2026-03-01T00:00"}
    workspace.write_json("runs/20260301T000005Z-label-000005.json", undated)
    workspace.write_bytes("runs/notes.txt", b"ours")
    history = read_history(workspace, 10)
    assert history.records == [good]
    assert [path.split("/")[1][:16] for path in history.unreadable] == [
        "notes.txt", "20260301T000005Z", "20260301T000004Z", "20260301T000003Z", "20260301T000002Z",
    ]  # fmt: skip


def test_a_field_that_a_later_version_adds_is_passed_over(workspace: Workspace) -> None:
    found = written(workspace, 1)
    workspace.write_json(f"runs/{found.run_id}.json", found.model_dump(mode="json") | {"mood": "good"})
    assert read_history(workspace, 10).records == [found]


def test_a_record_that_cannot_be_written_is_one_warning(workspace: Workspace, caplog: pytest.LogCaptureFixture) -> None:
    Path(workspace.url).mkdir()
    (Path(workspace.url) / "runs").write_text("a file where the folder would be")
    recording = Recording(workspace, record())
    recording.begin()
    recording.end("failed", "the run's own error")
    assert caplog.text.count("the record of this run cannot be written") == 1


def test_records_beyond_the_newest_may_go_unless_their_run_lives(workspace: Workspace) -> None:
    old, alive, killed, new = (
        written(workspace, number, **more)
        for number, more in enumerate([{"state": "failed"}, {}, {"process": None}, {"state": "completed"}])
    )
    path = Path(workspace.url) / "runs" / f"{killed.run_id}.json"
    path.write_text(killed.model_copy(update={"renewed": datetime(2026, 3, 1, tzinfo=UTC)}).model_dump_json())
    assert ended_records(workspace, newest=1) == [f"runs/{found.run_id}.json" for found in (old, killed)]
    assert ended_records(workspace, newest=4) == [] and not alive.is_dead() and new.state == "completed"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("s3://ann:hush@bucket/x", "s3://***@bucket/x"),
        ("s3://AKIA:hu/sh+=@bucket/x", "s3://***@bucket/x"),
        ("https://hush@host/x", "https://***@host/x"),
        ("http://host:8080/ann@home", "http://host:8080/ann@home"),
        ("s3://arn:aws:s3:eu:1:accesspoint/x/ann@home", "s3://arn:aws:s3:eu:1:accesspoint/x/ann@home"),
        ("https://host/x?sig=hush&page=2", "https://host/x?sig=***&page=2"),
        ("sdt ingest table 'https://h/a?X-Amz-Signature=hush' --archive a",
         "sdt ingest table 'https://h/a?X-Amz-Signature=***' --archive a"),
        ("hf:e5?tokens=256&layers=2", "hf:e5?tokens=256&layers=2"),
        ("s3://bucket/ann@home/x:y", "s3://bucket/ann@home/x:y"),
    ],
)  # fmt: skip
def test_secrets_of_urls_are_masked(text: str, shown: str) -> None:
    assert without_secrets(text) == shown
    begun = new_record("n", "sdt-ingest", text, "calls", {"source": {"path": text, "shards": [text]}})
    assert begun.command == shown and begun.config == {"source": {"path": shown, "shards": [shown]}}


def test_a_user_without_a_name_has_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    assert record().user == "54321"
