"""The history of a workspace's runs: one small JSON file a run, written when it begins, while it lives and at its end.

A record tells whether its run is alive. On the machine that it runs on, and in the same container, its process is
looked up; elsewhere its record must have been renewed lately. Nothing here may fail a run: a record that cannot be
written is a line in the log.
"""

import getpass
import logging
import os
import re
import secrets
import socket
import threading
from collections.abc import Mapping
from contextvars import copy_context
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple

from pydantic import AwareDatetime, BaseModel, ConfigDict

from tasks.archive.layout import RUNS, run_of_path, run_path
from tasks.errors import DamagedFile, WorkflowError
from tasks.storage.filesystem import CREDENTIALS
from tasks.storage.process import Process, this_process
from tasks.storage.workspace import Workspace

log = logging.getLogger("sdt.runs")

RENEWED_EVERY_S = 30.0
_MISSED = 5  # renewals, after which a run counts as dead
_LONGEST_REASON = 200
_SECRETS = re.compile(
    rf"(?P<user>{CREDENTIALS}|(?<=http)://[^/@\s]+@|(?<=https)://[^/@\s]+@)"
    r"|(?P<name>[?&](?:sig|signature|token|secret|password|key|credential|x-amz-[a-z-]+)=)[^&\s'\"]+",
    re.IGNORECASE,
)

State = Literal["running", "completed", "completed with faults", "completed with rejections", "completed with warning",
                "failed", "interrupted"]  # fmt: skip


class RunRecord(BaseModel):
    """What is known of a run. Fields that a later version adds are passed over."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    run_id: str
    """Name of the file; sorts by when the run began."""
    name: str
    """Readable name, as leases and Prefect's page show it."""
    command: str
    """What does the same again."""
    flow: str
    archive: str
    config: dict[str, Any]
    """Fields that are not as by default."""
    user: str
    host: str
    process: Process | None
    """The run's own; null where the system does not tell."""
    orchestrator: str | None = None
    """Page of the run in Prefect."""
    state: State = "running"
    reason: str = ""
    """Why it is not `completed`, in one line that quotes nothing from the archive."""
    counts: dict[str, int] = {}
    outputs: tuple[str, ...] = ()
    """What it wrote, as paths or URLs."""
    began: AwareDatetime
    renewed: AwareDatetime
    """When the run last showed that it lives."""
    ended: AwareDatetime | None = None

    def is_dead(self, now: datetime | None = None) -> bool:
        """Whether the run ended without a word: killed, or its machine is gone."""
        if self.state != "running":
            return False
        if self.process is not None and self.process.is_visible():
            return not self.process.is_alive()
        return (now or datetime.now(UTC)) - self.renewed > timedelta(seconds=_MISSED * RENEWED_EVERY_S)


class History(NamedTuple):
    """Records of runs, the latest first, and the files beside them that are none, with the reason."""

    records: list[RunRecord]
    unreadable: dict[str, str]


class Recording:
    """The record of a run that is under way; a daemon thread renews it."""

    def __init__(self, workspace: Workspace, record: RunRecord) -> None:
        self._workspace, self._record = workspace, record
        self._writing, self._over, self._unwritable = threading.Lock(), threading.Event(), False
        # In the caller's context: a log handler may ask it which run a line belongs to.
        self._thread = threading.Thread(target=copy_context().run, args=(self._renew,), name="run-record", daemon=True)

    def begin(self) -> None:
        """Write it for the first time."""
        self._write(self._record)
        self._thread.start()

    def end(
        self, state: State, reason: str = "", counts: Mapping[str, int] | None = None, outputs: tuple[str, ...] = ()
    ) -> None:
        """Write it for the last time.

        Args:
            state: how the run ended.
            reason: why, where it is not `completed`.
            counts: what it counted.
            outputs: what it wrote, relative to the workspace.
        """
        self._over.set()
        now = datetime.now(UTC)
        final = {
            "state": state, "reason": one_line(reason), "counts": dict(counts or {}),
            "outputs": tuple(self._workspace.uri(path) for path in outputs), "renewed": now, "ended": now,
        }  # fmt: skip
        with self._writing:
            self._write(self._record.model_copy(update=final))

    def _renew(self) -> None:
        while not self._over.wait(RENEWED_EVERY_S):
            with self._writing:
                if not self._over.is_set():
                    self._write(self._record.model_copy(update={"renewed": datetime.now(UTC)}))

    def _write(self, record: RunRecord) -> None:
        try:
            self._workspace.write_json(run_path(record.run_id), record.model_dump(mode="json"))
            self._unwritable = False
        except Exception as error:  # the run's own work comes first
            if not self._unwritable:  # said once, not every half a minute
                log.warning("the record of this run cannot be written: %s", one_line(str(error)))
            self._unwritable = True


def new_record(name: str, flow: str, command: str, archive: str, config: Mapping[str, Any]) -> RunRecord:
    """The record of a run of this process that begins now; what looks like a secret in it is masked.

    Args:
        name: readable name of the run.
        flow: name of the flow.
        command: what does the same again.
        archive: name of the archive.
        config: fields that are not as by default, as JSON has them.
    """
    now = datetime.now(UTC)
    return RunRecord(
        run_id=f"{now:%Y%m%dT%H%M%SZ}-{flow.removeprefix('sdt-')}-{secrets.token_hex(3)}",
        name=name,
        command=without_secrets(command),
        flow=flow,
        archive=archive,
        config=_masked(config),
        user=_user(),
        host=socket.gethostname(),
        process=this_process(),
        began=now,
        renewed=now,
    )


def read_history(workspace: Workspace, most: int) -> History:
    """The records of the latest runs.

    Raises:
        WorkflowError: the store does not let us in, or does not answer.
    """
    history = History([], {})
    for path in sorted(workspace.files(RUNS), reverse=True):
        if run_of_path(path) is None:
            history.unreadable[path] = "not named as a run's record is"
        elif len(history.records) < most:
            _read(workspace, path, history)
    return history


def ended_records(workspace: Workspace, newest: int) -> list[str]:
    """Paths of the records that are not among the ``newest``, without those of runs that are under way."""
    paths = sorted(path for path in workspace.files(RUNS) if run_of_path(path) is not None)
    history = History([], {})
    for path in paths[: max(0, len(paths) - newest)]:
        _read(workspace, path, history)
    return [run_path(record.run_id) for record in history.records if record.state != "running" or record.is_dead()]


def _read(workspace: Workspace, path: str, history: History) -> None:
    try:
        record = RunRecord.model_validate(workspace.read_json(path))
    except (ValueError, DamagedFile):
        history.unreadable[path] = "not a run's record, or damaged"
        return
    except WorkflowError:
        if workspace.exists(path):
            raise
        return  # removed meanwhile
    if record.run_id == run_of_path(path):
        history.records.append(record)
    else:
        history.unreadable[path] = f"the record of another run, {record.run_id}"


def without_secrets(text: str) -> str:
    """The text with `***` in place of passwords, tokens and signatures of URLs."""
    return _SECRETS.sub(lambda match: "://***@" if match["user"] else f"{match['name']}***", text)


def one_line(text: str) -> str:
    """The first line of a message, shortened and without secrets."""
    line = without_secrets(text.strip().split("\n", 1)[0])
    return line if len(line) <= _LONGEST_REASON else f"{line[: _LONGEST_REASON - 3]}..."


def _masked(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _masked(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(inner) for inner in value]
    return without_secrets(value) if isinstance(value, str) else value


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container's user may have no name
        return str(os.getuid())
