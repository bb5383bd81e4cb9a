"""The executor without Ray: shards one after another in this process, where a debugger can follow them.

`--set ray.address=local`. Nothing is isolated here: what crashes or hangs a decoder takes the command with it.
"""

import logging
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from tasks.config.stages import Resources, StageConfig
from tasks.executor.scheduler import Scheduler
from tasks.executor.shard import ShardFunction
from tasks.executor.shard_worker import ShardWorker
from tasks.executor.watchdog import Watch
from tasks.storage.workspace import Workspace

log = logging.getLogger("sdt.stage")

NODE = "local"
"""Where a shard was done, in its line."""

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "RAYON_NUM_THREADS")


def run_locally(
    scheduler: Scheduler,
    prepare: Callable[[], ShardFunction[Any]],
    config: StageConfig,
    resources: Resources,
    watch: Watch | None = None,
) -> None:
    """Do every shard of the scheduler in this process.

    Args:
        scheduler: hands out the shards and is told what became of them.
        prepare: makes the function that computes a shard; called at most once.
        config: where the files lie.
        resources: of which only the number of cores counts: libraries use as many threads.
        watch: names the files that were set aside earlier; they stay so.
    """
    worker = ShardWorker(Workspace(config.workspace), prepare)
    if watch and scheduler.first_missing:
        log.warning("%s: runs in this process: a file that crashes or hangs its decoder ends it", scheduler.name)
    with _library_threads(max(1, int(resources.cpus))):
        while scheduler.waiting:
            attempt, began = scheduler.next(0), time.monotonic()
            if watch:
                attempt = replace(attempt, shard=replace(attempt.shard, aside=dict(watch.aside)))
            try:
                record = worker.do(attempt, scheduler.exists(attempt.shard))
            except Exception as error:
                scheduler.fail(attempt, error)
            else:
                scheduler.succeed(attempt, record, NODE, time.monotonic() - began)
            scheduler.tell_progress(in_flight=0)


@contextmanager
def _library_threads(count: int) -> Iterator[None]:
    """Let libraries use the threads that they have in a worker of Ray's: the last bits of a sum depend on it."""
    before = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    outermost = re.match(r"\s*[1-9]\d*", before["OMP_NUM_THREADS"] or "")  # of a list, one for each level of nesting
    count = int(outermost[0]) if outermost else count
    os.environ |= {"OMP_NUM_THREADS": str(count), "RAYON_NUM_THREADS": before["RAYON_NUM_THREADS"] or str(count)}
    torch = sys.modules.get("torch")  # reads the variables when it is imported, and is not imported for this
    threads = torch.get_num_threads() if torch else 0
    if torch:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        if torch:
            torch.set_num_threads(threads)
