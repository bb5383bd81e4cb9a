"""What a lease is on, what its file says, and whether the run that holds it has ended."""

import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict

from tasks.config.date_range import DateRange
from tasks.storage.process import Process

LONGEST_S = 86_400.0
"""Seconds that a lease may last without being renewed, whatever its file says."""

_COARSE_S = 2.0  # to which stores date their files
_NEVER_STEPS = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # the former goes on while a machine sleeps


@dataclass(frozen=True)
class LeaseTarget:
    """What a lease is on.

    Attributes:
        stage: that makes it, for the log.
        what: it is called in a sentence.
        folder: where the leases on it lie while runs hold them.
        period: the days of it; None: all of it, as it has no days.
        rivals: folders whose leases are in the way as well, with all that lies below them.
    """

    stage: str
    what: str
    folder: str
    period: DateRange | None = None
    rivals: tuple[str, ...] = ()

    @property
    def root(self) -> str:
        """The folder of all leases."""
        return self.folder.partition("/")[0]

    def concerns(self, path: str) -> bool:
        """Whether the lease in this file may be in the way."""
        return path.startswith(tuple(f"{folder}/" for folder in (self.folder, *self.rivals)))

    def of(self, period: DateRange) -> str:
        """These days of it, in a sentence."""
        return self.what if self.period is None else f"{self.what}, {period}"


class Note(BaseModel):
    """What a lease's file says."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    holder: str
    what: str = ""
    """What it is on, in a sentence; empty in a lease of an earlier version."""
    period: DateRange
    taken: datetime | None
    """None while it is only asked for."""
    expires: datetime
    """By the holder's own clock, for people."""
    seconds: float | None = None
    """How long it lasts without being renewed; None in a lease of an earlier version."""
    process: Process | None = None
    """The holder's."""


@dataclass(frozen=True)
class Rival:
    """A lease of another run as it was read.

    Attributes:
        content: what the file holds; it changes whenever the lease is renewed.
        note: what that says; None where it is empty or damaged.
        age: seconds since it was renewed, by the store's clock; None where the store does not tell.
        since: when this run first saw it with this content.
    """

    content: bytes
    note: Note | None
    age: float | None
    since: float

    @property
    def holder(self) -> str:
        """Who holds it, in words."""
        return self.note.holder if self.note else "a run whose lease cannot be read"

    def has_ended(self, seconds: float, now: float) -> bool:
        """Whether its run is dead, or has been held up for longer than its lease lasts.

        Args:
            seconds: that a lease lasts which does not say so.
            now: by the clock that ``since`` is told by.
        """
        lasts = min(self.note.seconds if self.note and self.note.seconds else seconds, LONGEST_S)
        process = self.note.process if self.note else None
        if process is not None and process.is_visible():
            if not process.is_alive():
                return True
        elif self.age is not None and self.age > lasts + _COARSE_S:
            return True
        return now - self.since > lasts


class Clock:
    """The time by which leases run out; whoever has another, such as a test that moves it on, hands it in."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def elapsed(self) -> float:
        """Seconds of a clock that is never set."""
        return time.clock_gettime(_NEVER_STEPS)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Whether the event came within so many seconds."""
        return event.wait(seconds)
