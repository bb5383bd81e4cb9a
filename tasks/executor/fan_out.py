"""The one place that fans shards out over Ray.

Shards that are missing are computed by actors, bounded in flight, retried, with a progress line; one that keeps failing
is set aside and named. Where the workers are watched, a file that they die of or hang in is set aside by name instead,
and its shard is done without it.
"""

import logging
import os
import posixpath
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import ray
from ray.exceptions import RayActorError, RayTaskError

from tasks import SHARD_LINES
from tasks.config.stages import Resources, StageConfig
from tasks.errors import StageFailed, StoreOut, WorkflowError
from tasks.executor.capacity import in_words, room, working_nodes
from tasks.executor.progress import EVERY_S, ProgressLines
from tasks.executor.quarantine import Culprits, Watch
from tasks.executor.shard import Payload, Shard, ShardFunction, describe_shard, run_shard
from tasks.executor.shard_queue import Waiting
from tasks.executor.watchdog import Report, report
from tasks.storage.manifest import ShardRecord
from tasks.storage.workspace import Workspace

log, shard_log = logging.getLogger("sdt.stage"), logging.getLogger(SHARD_LINES)
shard_log.propagate = False

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 5.0, 60.0  # before a shard is tried again whose store was out


def fan_out(
    name: str,
    shards: Sequence[Shard[Payload]],
    prepare: Callable[[], ShardFunction[Payload]],
    config: StageConfig,
    watch: Watch | None = None,
) -> dict[int, ShardRecord]:
    """Compute the shards whose files are not there; return every shard's record by its index.

    Raises:
        StageFailed: some shards could not be done.
    """
    return _FanOut(name, shards, prepare, config, watch).run()


class _Worker:
    """An actor: prepares once, when it first has a shard to compute, then does one shard after another."""

    def __init__(self, workspace: Workspace, prepare: Callable[[], ShardFunction[Any]]) -> None:
        # Ray tells other libraries in this way how many cores they have; tokenizers look here.
        os.environ.setdefault("RAYON_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))
        self._workspace = workspace
        self._prepare = prepare
        self._work: ShardFunction[Any] | None = None
        self._node = ray.util.get_node_ip_address()

    def ready(self) -> None:
        """Answers once the worker runs."""

    def do(self, shard: Shard[Any], there: bool, how: Report | None, pause_s: float) -> tuple[ShardRecord, str]:
        """The shard's record, and the address of the node."""
        time.sleep(pause_s)
        if there:
            return describe_shard(self._workspace, shard), self._node
        report(how)
        if self._work is None:
            self._work = self._prepare()
        record = run_shard(self._workspace, shard, self._work)
        pa.default_memory_pool().release_unused()  # else a worker is a tenth larger after ten shards than after one
        return record, self._node


@dataclass(frozen=True)
class _Attempt:
    """A shard that waits for a worker, or is with one."""

    shard: Shard[Any]
    earlier: int = 0
    """Attempts that failed."""
    pause_s: float = 0.0
    """How long its worker waits first."""


@dataclass(frozen=True)
class _Running:
    attempt: _Attempt
    worker: int
    began: float


class _FanOut:
    def __init__(
        self,
        name: str,
        shards: Sequence[Shard[Any]],
        prepare: Callable[[], ShardFunction[Any]],
        config: StageConfig,
        watch: Watch | None,
    ) -> None:
        self._name, self._shards, self._prepare, self._config, self._watch = name, shards, prepare, config, watch
        self._workspace = Workspace(config.workspace)
        self._waiting: Waiting[_Attempt] = Waiting((shard.source, _Attempt(shard)) for shard in shards)
        self._running: dict[Any, _Running] = {}  # by reference
        self._restarting: dict[Any, int] = {}  # reference -> worker
        self._workers: list[Any] = []
        self._culprits: Culprits | None = None
        self._records: dict[int, ShardRecord] = {}
        self._set_aside: dict[str, str] = {}
        self._computed = 0
        self._progress = ProgressLines(name, len(shards))

    def run(self) -> dict[int, ShardRecord]:
        folders = {posixpath.dirname(shard.path) for shard in self._shards}
        there = {path for folder in folders for path in self._workspace.files(folder)}
        try:
            self._start(len(self._waiting))
            idle = deque(range(len(self._workers)))
            while self._waiting or self._running:
                while self._waiting and idle:
                    worker = idle.popleft()
                    self._submit(worker, self._waiting.next(worker), there)
                awaited = [*self._running, *self._restarting]
                done, _ = ray.wait(awaited, num_returns=1, timeout=self._patience())
                idle.extend(free for reference in done if (free := self._collect(reference, there)) is not None)
                for hung in self._culprits.hanging() if self._culprits else ():
                    ray.kill(self._workers[hung], no_restart=False)
                self._tell_progress()
        finally:
            for actor in self._workers:  # also takes whatever is still running with it
                ray.kill(actor)
            if self._culprits:
                self._culprits.dismiss()
        if self._set_aside:
            raise StageFailed(self._report())
        return self._records

    def _patience(self) -> float:
        """Seconds to wait for a shard before looking after the workers."""
        return min(EVERY_S, self._watch.hung_after_s / 2) if self._watch else EVERY_S

    def _submit(self, worker: int, attempt: _Attempt, there: set[str]) -> None:
        how, told = None, attempt.shard
        if self._culprits:
            how = self._culprits.report(worker, careful=attempt.earlier > 0)
            told = replace(told, aside=dict(self._culprits.aside))
        reference = self._workers[worker].do.remote(told, told.path in there, how, attempt.pause_s)
        self._running[reference] = _Running(attempt, worker, time.monotonic())

    def _start(self, shards: int) -> None:
        resources = self._config.resources or Resources()
        nodes = working_nodes()
        fitting = room(nodes, resources.asked())
        if fitting < 1 and self._config.workers is None:
            raise WorkflowError(
                f"{self._name}: a worker asks for {in_words(resources.asked())}, and no node of Ray's has as much\n"
                f"  they have {'; '.join(sorted({in_words(node) for node in nodes}))}\n"
                "  lower `resources`, or set `workers` if nodes are yet to come"
            )
        count = min(shards, self._config.workers or fitting)
        actor = ray.remote(
            num_cpus=resources.cpus, num_gpus=resources.gpus, memory=resources.memory_gb * 1e9, max_restarts=-1
        )(_Worker)
        if self._watch and count:
            self._culprits = Culprits(self._watch, self._config.retries)
        self._workers = [actor.remote(self._workspace, self._prepare) for _ in range(count)]

    def _collect(self, reference: Any, there: set[str]) -> int | None:
        """The worker that has nothing more to do, if it can do something."""
        if reference in self._restarting:
            return self._restarting.pop(reference)
        running = self._running.pop(reference)
        attempt, worker = running.attempt, running.worker
        try:
            record, node = ray.get(reference)
            found = attempt.shard.path in there
            self._records[record.index] = record
            self._computed += not found
            self._progress.rows += record.rows
            self._tell_done(running, record, node, found)
        except RayActorError as error:
            self._died(worker, attempt, error)
            # A shard given to it while it restarts would be refused, and that would count as a failure of the shard.
            self._restarting[self._workers[worker].ready.options(max_task_retries=-1).remote()] = worker
            return None
        except RayTaskError as error:
            self._failed(attempt, getattr(error, "cause", None) or error)
        return worker

    def _died(self, worker: int, attempt: _Attempt, error: RayActorError) -> None:
        shard = attempt.shard
        death = self._culprits.died(worker) if self._culprits else None
        if self._culprits and death and death.aside:
            why = self._culprits.aside[death.aside]
            log.error("%s: file %s set aside: %s; shard %d goes on", self._name, death.aside, why, shard.index)
            self._waiting.add(shard.source, _Attempt(shard))
        elif death and death.suspects:
            self._failed(attempt, RuntimeError(f"a worker died over {', '.join(death.suspects)}"))
        else:
            self._failed(attempt, error)

    def _failed(self, attempt: _Attempt, cause: Exception) -> None:
        """A fault of the input is the same the next time; anything else may be the network's or the machine's."""
        shard, earlier = attempt.shard, attempt.earlier
        expected = isinstance(cause, WorkflowError) and not isinstance(cause, StoreOut)
        reason = str(cause) if isinstance(cause, WorkflowError) else f"{type(cause).__name__}: {cause}"
        if earlier < self._config.retries and not expected:
            log.warning("%s: shard %d failed (%s), trying again", self._name, shard.index, reason)
            pause_s = min(_FIRST_PAUSE_S * 2**earlier, _LONGEST_PAUSE_S) if isinstance(cause, StoreOut) else 0.0
            self._waiting.add(shard.source, _Attempt(shard, earlier + 1, pause_s))
        else:
            log.error("%s: shard %d set aside: %s", self._name, shard.index, reason)
            self._set_aside[shard.path] = reason

    def _tell_done(self, running: _Running, record: ShardRecord, node: str, found: bool) -> None:
        """One line for a shard that is done."""
        facts = {
            "stage": self._name,
            "shard": record.index,
            "path": record.path,
            "node": node,
            "found": found,
            "rows": record.rows,
            "bytes": record.bytes,
            "counts": record.counts,
            "attempt": running.attempt.earlier + 1,
            "seconds": round(time.monotonic() - running.began, 3),
        }
        shard_log.info("%s: shard %d done", self._name, record.index, extra=facts)

    def _tell_progress(self) -> None:
        done = len(self._records)
        self._progress.tell(done, done - self._computed, len(self._running), len(self._waiting), len(self._set_aside))

    def _report(self) -> str:
        lines = [f"  {path}: {reason}" for path, reason in sorted(self._set_aside.items())[:10]]
        more = len(self._set_aside) - len(lines)
        return "\n".join(
            [
                f"{self._name}: {len(self._set_aside)} of {len(self._shards)} shards set aside",
                *lines,
                *([f"  and {more} more"] if more > 0 else []),
                "The other shards are done. Run the same command again: only these are tried.",
            ]
        )
