"""Which shard is next, what becomes of one that failed, and what is done: the same for every executor."""

import logging
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tasks import SHARD_LINES
from tasks.config.stages import StageConfig
from tasks.errors import StageFailed, StoreOut, WorkflowError
from tasks.executor.progress import ProgressLines
from tasks.executor.shard import Shard
from tasks.executor.shard_queue import ShardQueue
from tasks.storage.manifest import ShardRecord
from tasks.storage.workspace import Workspace

log, shard_log = logging.getLogger("sdt.stage"), logging.getLogger(SHARD_LINES)
shard_log.propagate = False

FIRST_PAUSE_S, LONGEST_PAUSE_S = 5.0, 60.0  # before a shard is tried again whose store was out
_MOST_REASONS = 10  # in a message


@dataclass(frozen=True)
class Attempt:
    """A shard that waits for a worker, or is with one."""

    shard: Shard[Any]
    failures: int = 0
    """Attempts before this one."""
    pause_s: float = 0.0
    """How long its worker waits first."""


class Scheduler:
    """The shards of one stage: those that wait, those that are done, and those that were set aside."""

    def __init__(self, name: str, shards: Sequence[Shard[Any]], config: StageConfig) -> None:
        self.name = name
        self.retries = config.retries
        self._shards = shards
        workspace = Workspace(config.workspace)
        folders = {posixpath.dirname(shard.path) for shard in shards}
        self._existing = {path for folder in folders for path in workspace.files(folder)}
        self._queue: ShardQueue[Attempt] = ShardQueue((shard.source, Attempt(shard)) for shard in shards)
        self._records: dict[int, ShardRecord] = {}
        self._set_aside: dict[str, str] = {}
        self._lasting = 0  # of these, which fail the same way every time
        self._computed = 0
        self._progress = ProgressLines(name, len(shards))

    @property
    def waiting(self) -> int:
        """Shards that no worker has yet, or has again."""
        return len(self._queue)

    @property
    def first_missing(self) -> Shard[Any] | None:
        """The first shard whose file was not there when the stage began; None: there is nothing to compute."""
        return next((shard for shard in self._shards if not self.exists(shard)), None)

    def exists(self, shard: Shard[Any]) -> bool:
        """Whether the shard's file was there when the stage began, so that its record is all that is needed."""
        return shard.path in self._existing

    def next(self, worker: int) -> Attempt:
        """What this worker is to do now; raises where nothing waits."""
        return self._queue.next(worker)

    def repeat(self, shard: Shard[Any]) -> None:
        """Try a shard again as if for the first time: what went wrong was no fault of its own."""
        self._queue.add(shard.source, Attempt(shard))

    def succeed(self, attempt: Attempt, record: ShardRecord, node: str, seconds: float) -> None:
        """Take down a shard's record, and log the line of a shard that is done.

        Args:
            attempt: the one that succeeded.
            record: what its file holds.
            node: where it was done.
            seconds: how long that took.
        """
        existing = self.exists(attempt.shard)
        self._records[record.index] = record
        self._computed += not existing
        self._progress.rows += record.rows
        facts = {
            "stage": self.name,
            "shard": record.index,
            "path": record.path,
            "node": node,
            "found": existing,
            "rows": record.rows,
            "bytes": record.bytes,
            "counts": record.counts,
            "attempt": attempt.failures + 1,
            "seconds": round(seconds, 3),
        }
        shard_log.info("%s: shard %d done", self.name, record.index, extra=facts)

    def fail(self, attempt: Attempt, cause: Exception) -> None:
        """Let a shard be tried again, or set it aside.

        A fault of the input is the same the next time; anything else may be the network's or the machine's.
        """
        shard, failures = attempt.shard, attempt.failures
        out = isinstance(cause, StoreOut)
        lasting = isinstance(cause, WorkflowError) and not out
        reason = str(cause) if isinstance(cause, WorkflowError) else f"{type(cause).__name__}: {cause}"
        if failures < self.retries and not lasting:
            log.warning("%s: shard %d failed (%s), trying again", self.name, shard.index, reason)
            pause_s = min(FIRST_PAUSE_S * 2**failures, LONGEST_PAUSE_S) if out else 0.0
            self._queue.add(shard.source, Attempt(shard, failures + 1, pause_s))
        else:
            log.error("%s: shard %d set aside: %s", self.name, shard.index, reason)
            self._set_aside[shard.path] = reason
            self._lasting += lasting

    def tell_progress(self, in_flight: int) -> None:
        """Log the progress line, if it is time for one."""
        done = len(self._records)
        self._progress.tell(done, done - self._computed, in_flight, self.waiting, len(self._set_aside))

    def results(self) -> dict[int, ShardRecord]:
        """Every shard's record by its index.

        Raises:
            StageFailed: some shards were set aside; names them and why.
        """
        if not self._set_aside:
            return self._records
        lines = [f"  {path}: {reason}" for path, reason in sorted(self._set_aside.items())[:_MOST_REASONS]]
        if (more := len(self._set_aside) - len(lines)) > 0:
            lines.append(f"  and {more} more")
        title = f"{self.name}: {len(self._set_aside)} of {len(self._shards)} shards set aside"
        raise StageFailed("\n".join([title, *lines, self._advice()]))

    def _advice(self) -> str:
        """What to do about the shards that were set aside; to try again helps only where the input is not at fault."""
        others = "The other shards are done. " if len(self._set_aside) < len(self._shards) else ""
        if self._lasting == len(self._set_aside):
            return f"{others}To run the same command again helps once what is named here has been put right."
        if self._lasting:
            return f"{others}Some fail until their input is put right; the rest may not: run the same command again."
        return f"{others}Run the same command again: only these are tried."
