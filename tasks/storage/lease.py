"""A lease on what a run makes: two runs cannot both write it, and a run that died does not hold it for ever.

A run writes its lease beside the others' and then reads them all. One that sees another's on the same gives way;
of two that see each other both do, and each asks again after a while of its own. So no store has to know how to create
a file only if it is absent. What is needed: that a listing shows every file whose writing has ended (local disk, S3,
GCS and Azure keep that), and clocks that agree to within a small part of the lease's length.

The lease is renewed while its run lives. Once it has run out, whoever takes over removes its file. Its run, should it
wake up, holds it again where that is still there; else it makes nothing more current: before it does, it asks
`Lease.check`. Checkpoints of a training are not guarded: two runs that both go on write them from the same state.
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
from contextvars import copy_context
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pydantic import BaseModel, ConfigDict

from tasks.config.date_range import DateRange
from tasks.errors import WorkflowError
from tasks.storage.workspace import Workspace

log = logging.getLogger("sdt.lease")

_RENEWALS = 4  # in a lease's length


@dataclass(frozen=True)
class LeaseTarget:
    """What a lease is on.

    Attributes:
        stage: that makes it, for the log.
        what: it is called in a sentence.
        folder: where the leases on it lie while runs hold them.
        period: the days of it; None: all of it, as it has no days.
    """

    stage: str
    what: str
    folder: str
    period: DateRange | None = None

    def of(self, period: DateRange) -> str:
        """These days of it, in a sentence."""
        return self.what if self.period is None else f"{self.what}, {period}"


class Note(BaseModel):
    """What a lease's file says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    holder: str
    period: DateRange
    taken: datetime | None
    """None while it is only asked for."""
    expires: datetime


class Clock:
    """The time by which leases run out; whoever has another, such as a test that moves it on, hands it in."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Whether the event came within so many seconds."""
        return event.wait(seconds)


@contextlib.contextmanager
def lease(
    workspace: Workspace, target: LeaseTarget, seconds: float, run: str = "", clock: Clock | None = None
) -> Iterator["Lease"]:
    """Hold what is to be made; waits for a run that may have died, not for one that lives.

    Args:
        workspace: where the lease lies, beside those of others.
        target: what is to be made.
        seconds: after which the lease runs out, unless it is renewed.
        run: its name, for those who wait.
        clock: by which it runs out; None: the machine's.

    Raises:
        WorkflowError: a living run holds some of it; names that run.
    """
    taken = Lease(workspace, target, seconds, run, clock or Clock())
    taken.take()
    try:
        yield taken
    finally:
        taken.give_back()


class Lease:
    """One run's hold on what it makes."""

    def __init__(self, workspace: Workspace, target: LeaseTarget, seconds: float, run: str, clock: Clock) -> None:
        self._workspace, self._target, self._seconds, self._clock = workspace, target, seconds, clock
        self._period = target.period or DateRange()
        machine, process = socket.gethostname(), os.getpid()
        self._holder = f"{machine}, process {process}" + (f", run {run}" if run else "")
        self._path = f"{target.folder}/{machine}-{process}-{secrets.token_hex(4)}.json"
        self._taken: datetime | None = None
        self._expires = clock.now()
        self._lost = False
        self._alone = threading.RLock()  # the thread that renews, and the one that checks
        self._given_back = threading.Event()
        # In the caller's context: a log handler may ask it which run a line belongs to.
        self._renewing = threading.Thread(
            target=copy_context().run, args=(self._keep_renewed,), name="lease", daemon=True
        )

    def take(self) -> None:
        """Ask until it is free, or until its holder shows that it lives."""
        seen: dict[str, Note] = {}
        try:
            while others := self._ask():
                self._workspace.remove(self._path)
                for path, note in others.items():
                    self._refuse_if_alive(path, seen.get(path), note)
                    seen[path] = note
                self._clock.sleep(min(1.0, self._seconds / 10) * random.uniform(0.5, 1.5))
            self._taken = self._clock.now()
            self._expires = self._write()
        except BaseException:
            self._remove(self._path)
            raise
        self._renewing.start()

    def check(self) -> None:
        """Raises: WorkflowError: the lease could not be renewed in time, and another run has taken over."""
        if not self._holds():
            raise WorkflowError(
                f"the lease on {self._target.of(self._period)} ran out at {_time(self._expires)}\n"
                f"  this run was held up, or could not write to {self._workspace.url}, and another took over\n"
                "  nothing more is written; let the other end, and what it has done is not done again"
            )

    def give_back(self) -> None:
        self._given_back.set()
        self._renewing.join()
        self._remove(self._path)

    def renew(self) -> bool:
        """Hold it for longer; False: another run has taken over, and there is nothing more to renew."""
        with self._alone:
            if not self._holds():
                return False
            until, expires = self._expires, self._write()
            if self._clock.now() < until:  # else it ran out meanwhile, and is looked at again
                self._expires = expires
            return True

    def _keep_renewed(self) -> None:
        while not self._clock.wait(self._given_back, self._seconds / _RENEWALS):
            try:
                if not self.renew():
                    return
            except Exception as error:  # the store may be back before the lease runs out
                log.warning("%s: the lease %s was not renewed: %s", self._target.stage, self._path, error)

    def _holds(self) -> bool:
        """Whether it is still held; one that has run out is taken again where nobody else has taken it."""
        with self._alone:
            if not self._lost and self._expires <= self._clock.now():
                paths = self._workspace.files(self._target.folder)
                if self._path not in paths or self._in_the_way(paths) or self._ask():
                    self._lost = True
                    self._remove(self._path)
                    log.warning("%s: %s: the lease was not renewed in time, and another run has taken over",
                                self._target.stage, self._target.of(self._period))  # fmt: skip
                else:
                    self._expires = self._write()
            return not self._lost

    def _ask(self) -> dict[str, Note]:
        """Write that it is wanted; the leases of others that are in the way."""
        return self._in_the_way(self._all())

    def _in_the_way(self, paths: list[str]) -> dict[str, Note]:
        notes = {}
        for path in paths:
            note = None if path == self._path else self._read(path)
            if note is not None and note.expires <= self._clock.now():
                ended = note.holder, _time(note.expires)
                log.warning("%s: the lease of %s ran out at %s and is removed", self._target.stage, *ended)
                self._remove(path)
            elif note is not None and note.period.overlaps(self._period):
                notes[path] = note
        return notes

    def _all(self) -> list[str]:
        """Every lease in the folder, after writing this one; a listing without it is not whole."""
        while True:
            self._write()
            paths = self._workspace.files(self._target.folder)
            if self._path in paths:
                return paths
            self._clock.sleep(0.1)

    def _refuse_if_alive(self, path: str, before: Note | None, now: Note) -> None:
        if before is None:
            log.warning(
                "%s: %s: held by %s until %s, waiting for its end or a sign of life",
                self._target.stage, self._target.of(now.period), now.holder, _time(now.expires),
            )  # fmt: skip
        elif now.taken and before.taken == now.taken and before.expires < now.expires:
            raise WorkflowError(
                f"another run is writing {self._target.of(now.period)}\n"
                f"  {now.holder}, since {_time(now.taken)}\n"
                f"  let it end, or stop it, and run this again; its lease is {self._workspace.uri(path)}, "
                f"and one of a run that died runs out by itself"
            )

    def _write(self) -> datetime:
        """Write the lease anew; until when that holds."""
        expires = self._clock.now() + timedelta(seconds=self._seconds)
        note = Note(holder=self._holder, period=self._period, taken=self._taken, expires=expires)
        self._workspace.write_json(self._path, note.model_dump(mode="json"))
        return expires

    def _read(self, path: str) -> Note | None:
        """None where it was given back since it was listed."""
        try:
            return Note.model_validate(self._workspace.read_json(path))
        except WorkflowError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return None
            raise  # a store that does not answer says nothing of who holds it

    def _remove(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._workspace.remove(path)


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
