"""The executor over Ray: actors do the shards, bounded in flight.

Where the workers are watched, a file that they die of or hang in is set aside by name, and its shard is done without
it.
"""

import copy
import logging
import os
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import ray
from ray.exceptions import RayActorError, RayTaskError

from tasks.config.stages import Resources, StageConfig
from tasks.errors import WorkflowError
from tasks.executor.capacity import in_words, worker_slots, working_nodes
from tasks.executor.progress import EVERY_S
from tasks.executor.quarantine import Quarantine
from tasks.executor.scheduler import Attempt, Scheduler
from tasks.executor.shard import ShardFunction
from tasks.executor.shard_worker import ShardWorker
from tasks.executor.watchdog import Watch, WatchdogLink, report_to
from tasks.storage.manifest import ShardRecord
from tasks.storage.workspace import Workspace

log = logging.getLogger("sdt.stage")


def run_on_ray(
    scheduler: Scheduler,
    prepare: Callable[[], ShardFunction[Any]],
    config: StageConfig,
    resources: Resources,
    watch: Watch | None = None,
) -> None:
    """Do every shard of the scheduler in actors of Ray's.

    Args:
        scheduler: hands out the shards and is told what became of them.
        prepare: makes the function that computes a shard; called once in each worker that has one to compute.
        config: where the files lie, and how many workers there are at most.
        resources: what one worker asks for.
        watch: how workers are watched while they read files; None: they are not.

    Raises:
        WorkflowError: no node has what a worker asks for.
    """
    _RayExecutor(scheduler, prepare, config, resources, watch).run()


class _Worker:
    """An actor."""

    def __init__(self, workspace: Workspace, prepare: Callable[[], ShardFunction[Any]]) -> None:
        # Ray tells other libraries in this way how many cores they have; tokenizers look here.
        os.environ.setdefault("RAYON_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))
        self._worker = ShardWorker(workspace, prepare)
        self._node = ray.util.get_node_ip_address()

    def ready(self) -> None:
        """Answers once the worker runs."""

    def do(self, attempt: Attempt, exists: bool, link: WatchdogLink | None) -> tuple[ShardRecord, str]:
        """The shard's record, and the address of the node."""
        report_to(link)
        try:
            return self._worker.do(attempt, exists), self._node
        except Exception as error:
            raise _sendable(error) from error


def _sendable(error: Exception) -> Exception:
    """The error itself, or its words where it cannot be rebuilt in another process, as some of decoders cannot."""
    try:
        copy.copy(error)  # which rebuilds it in the same way
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


@dataclass(frozen=True)
class _Running:
    attempt: Attempt
    worker: int
    began: float


class _RayExecutor:
    def __init__(
        self,
        scheduler: Scheduler,
        prepare: Callable[[], ShardFunction[Any]],
        config: StageConfig,
        resources: Resources,
        watch: Watch | None,
    ) -> None:
        self._scheduler, self._prepare, self._config = scheduler, prepare, config
        self._resources, self._watch = resources, watch
        self._running: dict[Any, _Running] = {}  # by reference
        self._restarting: dict[Any, int] = {}  # reference -> worker
        self._workers: list[Any] = []
        self._quarantine: Quarantine | None = None

    def run(self) -> None:
        try:
            self._start()
            idle = deque(range(len(self._workers)))
            while self._scheduler.waiting or self._running:
                while self._scheduler.waiting and idle:
                    worker = idle.popleft()
                    self._submit(worker, self._scheduler.next(worker))
                awaited = [*self._running, *self._restarting]
                done, _ = ray.wait(awaited, num_returns=1, timeout=self._patience())
                idle.extend(free for reference in done if (free := self._collect(reference)) is not None)
                for hung in self._quarantine.hanging() if self._quarantine else ():
                    ray.kill(self._workers[hung], no_restart=False)
                self._scheduler.tell_progress(len(self._running))
        finally:
            for actor in self._workers:  # also takes whatever is still running with it
                ray.kill(actor)
            if self._quarantine:
                self._quarantine.dismiss()

    def _patience(self) -> float:
        """Seconds to wait for a shard before looking after the workers."""
        return min(EVERY_S, self._watch.hung_after_s / 2) if self._watch else EVERY_S

    def _start(self) -> None:
        asked, nodes = self._resources.asked(), working_nodes(self._config.ray)
        slots = worker_slots(nodes, asked)
        if slots < 1 and self._config.workers is None:
            raise WorkflowError(
                f"{self._scheduler.name}: a worker asks for {in_words(asked)}, and no node of Ray's has as much\n"
                f"  they have {'; '.join(sorted({in_words(node) for node in nodes}))}\n"
                "  lower `resources`, or set `workers` if nodes are yet to come"
            )
        count = min(self._scheduler.waiting, self._config.workers or slots)
        actor = ray.remote(
            num_cpus=self._resources.cpus,
            num_gpus=self._resources.gpus,
            memory=self._resources.memory_gb * 1e9,
            max_restarts=-1,
        )(_Worker)
        if self._watch and count:
            self._quarantine = Quarantine(self._watch, self._scheduler.retries)
        workspace = Workspace(self._config.workspace)
        self._workers = [actor.remote(workspace, self._prepare) for _ in range(count)]

    def _submit(self, worker: int, attempt: Attempt) -> None:
        link, sent = None, attempt
        if self._quarantine:
            link = self._quarantine.link(worker, one_at_a_time=attempt.failures > 0)
            sent = replace(attempt, shard=replace(attempt.shard, aside=dict(self._quarantine.aside)))
        reference = self._workers[worker].do.remote(sent, self._scheduler.exists(attempt.shard), link)
        self._running[reference] = _Running(attempt, worker, time.monotonic())

    def _collect(self, reference: Any) -> int | None:
        """The worker that has nothing more to do, if it can do something."""
        if reference in self._restarting:
            return self._restarting.pop(reference)
        running = self._running.pop(reference)
        attempt, worker = running.attempt, running.worker
        try:
            record, node = ray.get(reference)
            self._scheduler.succeed(attempt, record, node, time.monotonic() - running.began)
        except RayActorError as error:
            self._worker_died(worker, attempt, error)
            # A shard sent to it while it restarts would be refused, and that would count as a failure of the shard.
            self._restarting[self._workers[worker].ready.options(max_task_retries=-1).remote()] = worker
            return None
        except RayTaskError as error:
            self._scheduler.fail(attempt, getattr(error, "cause", None) or error)
        return worker

    def _worker_died(self, worker: int, attempt: Attempt, error: RayActorError) -> None:
        death = self._quarantine.worker_died(worker) if self._quarantine else None
        if self._quarantine and death and death.aside:
            why, shard = self._quarantine.aside[death.aside], attempt.shard
            name = self._scheduler.name
            log.error("%s: file %s set aside: %s; shard %d goes on", name, death.aside, why, shard.index)
            self._scheduler.repeat(shard)
        elif death and death.suspects:
            self._scheduler.fail(attempt, RuntimeError(f"a worker died over {', '.join(death.suspects)}"))
        else:
            self._scheduler.fail(attempt, error)
