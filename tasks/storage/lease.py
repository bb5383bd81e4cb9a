"""A lease on what a run makes: two runs cannot both write it, and a run that died does not hold it for ever.

A run writes its lease beside the others' and then reads them all. One that sees another's on the same gives way;
of two that see each other both do, and each asks again after a while of its own. So no store has to know how to create
a file only if it is absent. What is needed: that a listing shows every file whose writing has ended (local disk, S3,
GCS and Azure keep that).

The lease is renewed while its run lives. How long ago that was is asked of the store, which dates all of them by one
clock, or watched from here: what a lease says of the time, and what another machine takes for it, is for people alone.
Once it has run out, whoever takes over removes its file. Its run, should it wake up, holds it again where that is still
there; else it makes nothing more current: before it does, it asks `Lease.check`. Checkpoints of a training are not
guarded: two runs that both go on write them from the same state.
"""

import contextlib
import logging
import os
import random
import secrets
import socket
import threading
from collections.abc import Iterator
from contextvars import copy_context
from datetime import datetime, timedelta

from pydantic import ValidationError

from tasks.config.date_range import DateRange
from tasks.errors import WorkflowError
from tasks.storage.lease_note import Clock, LeaseTarget, Note, Rival
from tasks.storage.process import this_process
from tasks.storage.workspace import Workspace

log = logging.getLogger("sdt.lease")

_RENEWALS = 4  # in a lease's length


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
        WorkflowError: a living run holds some of it; names that run. Or what is done under it failed after another run
            had taken over.
    """
    taken = Lease(workspace, target, seconds, run, clock or Clock())
    taken.take()
    try:
        yield taken
    except Exception as error:
        taken.explain(error)
        raise
    finally:
        taken.give_back()


class Lease:
    """One run's hold on what it makes."""

    def __init__(self, workspace: Workspace, target: LeaseTarget, seconds: float, run: str, clock: Clock) -> None:
        self._workspace, self._target, self._seconds, self._clock = workspace, target, seconds, clock
        self._period = target.period or DateRange()
        machine, process = socket.gethostname(), os.getpid()
        self._holder = f"{machine}, process {process}" + (f", run {run}" if run else "")
        self._process = this_process()
        self._path = f"{target.folder}/{machine}-{process}-{secrets.token_hex(4)}.json"
        self._taken: datetime | None = None
        self._expires, self._renewed = clock.now(), clock.elapsed()
        self._lost = False
        self.waited = False
        """Whether another run was in the way: what was planned before may not hold any more."""
        self._alone = threading.RLock()  # the thread that renews, and the one that checks
        self._given_back = threading.Event()
        # In the caller's context: a log handler may ask it which run a line belongs to.
        self._renewing = threading.Thread(
            target=copy_context().run, args=(self._keep_renewed,), name="lease", daemon=True
        )

    def take(self) -> None:
        """Ask until it is free, or until its holder shows that it lives."""
        seen: dict[str, Rival] = {}
        try:
            while rivals := self._ask(seen):
                self._remove(self._path)
                for path, rival in rivals.items():
                    self._refuse_if_alive(path, seen.get(path), rival)
                seen, self.waited = rivals, True
                self._clock.sleep(min(1.0, self._seconds / 10) * random.uniform(0.5, 1.5))
            self._taken, self._renewed = self._clock.now(), self._clock.elapsed()
            self._expires = self._write()
        except BaseException:
            self._remove(self._path)
            raise
        self._renewing.start()

    def check(self) -> None:
        """Raises: WorkflowError: the lease could not be renewed in time, and another run has taken over."""
        if not self._holds():
            raise self._ran_out()

    def explain(self, error: Exception) -> None:
        """Raises: WorkflowError: as `check`; what failed, such as a file that is gone, failed because of that."""
        with contextlib.suppress(Exception):  # a store that does not answer says nothing of it
            self._holds()
        if self._lost:
            raise self._ran_out() from error

    def _ran_out(self) -> WorkflowError:
        return WorkflowError(
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
            began = self._clock.elapsed()
            if not self._holds():
                return False
            expires = self._write()
            if self._clock.elapsed() - began < self._seconds:  # else it ran out meanwhile, and is looked at again
                self._expires, self._renewed = expires, began
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
            if self._lost:
                return False
            began = self._clock.elapsed()
            late = began - self._renewed > self._seconds
            if not self._workspace.exists(self._path) or (late and (self._rivals({}) or self._ask({}))):
                self._lost = True
                self._remove(self._path)
                log.warning("%s: %s: the lease was not renewed in time, and another run has taken over",
                            self._target.stage, self._target.of(self._period))  # fmt: skip
            elif late:
                self._expires, self._renewed = self._write(), began
            return not self._lost

    def _ask(self, seen: dict[str, Rival]) -> dict[str, Rival]:
        """Write that it is wanted; the leases of others that are in the way, of which some were ``seen`` before."""
        self._write()
        while self._path not in (dates := self._workspace.dates(self._target.root)):
            self._clock.sleep(0.1)  # a listing without this one is not whole
            self._write()
        return self._rivals(seen, dates)

    def _rivals(self, seen: dict[str, Rival], dates: dict[str, float | None] | None = None) -> dict[str, Rival]:
        """The leases in the way; those that have ended are removed. ``dates``: when each was written."""
        dates = self._workspace.dates(self._target.root) if dates is None else dates
        now = dates.get(self._path)
        rivals = {}
        for path, date in dates.items():
            if path == self._path or not self._target.concerns(path):
                continue
            age = None if now is None or date is None else now - date
            rival = self._read(path, age, seen.get(path))
            if rival is not None and rival.has_ended(self._seconds, self._clock.elapsed()):
                log.warning("%s: the lease of %s ran out and is removed", self._target.stage, rival.holder)
                self._remove(path)
            elif rival is not None and (rival.note is None or rival.note.period.overlaps(self._period)):
                rivals[path] = rival
        return rivals

    def _refuse_if_alive(self, path: str, before: Rival | None, now: Rival) -> None:
        note = now.note
        what = (note.what if note else "") or self._target.of(note.period if note else self._period)
        if before is None:
            until = f" until {_time(note.expires)}" if note else ""
            log.warning(
                "%s: %s: held by %s%s, waiting for its end or a sign of life",
                self._target.stage, what, now.holder, until,
            )  # fmt: skip
        elif note and note.taken and before.note and before.note.taken == note.taken and before.content != now.content:
            raise WorkflowError(
                f"another run is writing {what}\n"
                f"  {note.holder}, since {_time(note.taken)}\n"
                f"  let it end, or stop it, and run this again; its lease is {self._workspace.uri(path)}, "
                f"and one of a run that died runs out by itself"
            )

    def _write(self) -> datetime:
        """Write the lease anew; until when that holds."""
        expires = self._clock.now() + timedelta(seconds=self._seconds)
        note = Note(
            holder=self._holder, what=self._target.of(self._period), period=self._period, taken=self._taken,
            expires=expires, seconds=self._seconds, process=self._process,
        )  # fmt: skip
        self._workspace.write_json(self._path, note.model_dump(mode="json"))
        return expires

    def _read(self, path: str, age: float | None, before: Rival | None) -> Rival | None:
        """Another's lease; None where it was given back since it was listed."""
        try:
            content = self._workspace.read_bytes(path)
        except WorkflowError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return None
            raise  # a store that does not answer says nothing of who holds it
        try:
            note = Note.model_validate_json(content)
        except ValidationError:
            note = None  # of a machine that died while it was written, or damaged
        unchanged = before is not None and before.content == content
        return Rival(content, note, age, before.since if before and unchanged else self._clock.elapsed())

    def _remove(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._workspace.remove(path)


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
