"""A lease on days of labels: two runs of one day cannot both write it, and a run that died does not hold it for ever.

A run writes its lease beside the others' and then reads them all. One that sees another's on the same days gives way;
of two that see each other both do, and each asks again after a while of its own. So no store has to know how to create
a file only if it is absent. What is needed: that a listing shows every file whose writing has ended (local disk, S3,
GCS and Azure keep that), and clocks that agree to within a small part of the lease's length.

The lease is renewed while its run lives. Once it has run out, others take the days over, and its run, should it wake
up, writes nothing more: it asks `Lease.check` before each day it makes current.
"""

import contextlib
import logging
import os
import random
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from pydantic import BaseModel, ConfigDict

from tasks.errors import WorkflowError
from tasks.period import Period
from tasks.workspace import Workspace

log = logging.getLogger("sdt.lease")

_RENEWALS = 4  # in a lease's length


class Note(BaseModel):
    """What a lease's file says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    holder: str
    period: Period
    taken: datetime | None
    """None while it is only asked for."""
    expires: datetime

    @property
    def expired(self) -> bool:
        return self.expires <= datetime.now(UTC)


def leases_folder(archive: str) -> str:
    """Where the leases on an archive's labels lie while runs hold them."""
    return f"leases/{archive}"


@contextlib.contextmanager
def lease(workspace: Workspace, archive: str, period: Period, seconds: float, run: str = "") -> Iterator["Lease"]:
    """Hold the labels of some days; waits for a run that may have died, not for one that lives.

    Raises:
        WorkflowError: a living run holds some of the days; names it.
    """
    held = Lease(workspace, archive, period, seconds, run)
    held.take()
    try:
        yield held
    finally:
        held.give_back()


class Lease:
    """One run's hold on days of an archive's labels."""

    def __init__(self, workspace: Workspace, archive: str, period: Period, seconds: float, run: str) -> None:
        self._workspace, self._archive, self._period, self._seconds = workspace, archive, period, seconds
        machine, process = socket.gethostname(), os.getpid()
        self._holder = f"{machine}, process {process}" + (f", run {run}" if run else "")
        self._path = f"{leases_folder(archive)}/{machine}-{process}-{secrets.token_hex(4)}.json"
        self._taken: datetime | None = None
        self._expires = datetime.now(UTC)
        self._given_back = threading.Event()
        self._renewing = threading.Thread(target=self._renew, name="lease", daemon=True)

    def take(self) -> None:
        """Ask until the days are free, or until their holder shows that it lives."""
        seen: dict[str, Note] = {}
        try:
            while others := self._ask():
                self._workspace.remove(self._path)
                for path, note in others.items():
                    self._refuse_if_alive(path, seen.get(path), note)
                    seen[path] = note
                time.sleep(min(1.0, self._seconds / 10) * random.uniform(0.5, 1.5))
            self._taken = datetime.now(UTC)
            self._write()
        except BaseException:
            self._remove(self._path)
            raise
        self._renewing.start()

    def check(self) -> None:
        """Raises: WorkflowError: the lease could not be renewed in time; others may write these days by now."""
        if self._expires <= datetime.now(UTC):
            raise WorkflowError(
                f"the lease on labels of archive {self._archive!r}, {self._period}, ran out at {_time(self._expires)}\n"
                f"  this run was held up, or could not write to {self._workspace.url}\n"
                "  nothing more is written; run it again, and what is done by then is not done again"
            )

    def give_back(self) -> None:
        self._given_back.set()
        self._renewing.join()
        self._remove(self._path)

    def _renew(self) -> None:
        while not self._given_back.wait(self._seconds / _RENEWALS):
            if self._expires <= datetime.now(UTC):
                return
            try:
                self._write()
            except Exception as error:  # the store may be back before the lease runs out
                log.warning("label: the lease %s was not renewed: %s", self._path, error)

    def _ask(self) -> dict[str, Note]:
        """Write that these days are wanted; the leases of others that are in the way."""
        found = {}
        for path in self._all():
            note = None if path == self._path else self._read(path)
            if note is not None and note.expired:
                log.warning("label: the lease of %s ran out at %s and is removed", note.holder, _time(note.expires))
                self._remove(path)
            elif note is not None and note.period.overlaps(self._period):
                found[path] = note
        return found

    def _all(self) -> list[str]:
        """Every lease on the archive's labels, after writing this one; a listing without it is not whole."""
        while True:
            self._write()
            paths = self._workspace.files(leases_folder(self._archive))
            if self._path in paths:
                return paths
            time.sleep(0.1)

    def _refuse_if_alive(self, path: str, before: Note | None, now: Note) -> None:
        if before is None:
            log.warning(
                "label: labels of archive %s, %s, are held by %s until %s: waiting for its end or a sign of life",
                self._archive, now.period, now.holder, _time(now.expires),
            )  # fmt: skip
        elif now.taken and before.taken == now.taken and before.expires < now.expires:
            raise WorkflowError(
                f"labels of archive {self._archive!r}, {now.period}, are being written by another run\n"
                f"  {now.holder}, since {_time(now.taken)}\n"
                f"  let it end, or stop it, and run this again; its lease is {self._workspace.uri(path)}, "
                f"and one of a run that died runs out by itself"
            )

    def _write(self) -> None:
        expires = datetime.now(UTC) + timedelta(seconds=self._seconds)
        note = Note(holder=self._holder, period=self._period, taken=self._taken, expires=expires)
        self._workspace.write_json(self._path, note.model_dump(mode="json"))
        self._expires = expires

    def _read(self, path: str) -> Note | None:
        """None where it was given back since it was listed."""
        try:
            return Note.model_validate(self._workspace.read_json(path))
        except WorkflowError:
            return None

    def _remove(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._workspace.remove(path)


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
