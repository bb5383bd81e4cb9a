"""The one place that fans shards out, over Ray or in this process.

Shards that are missing are computed, retried, with a progress line; one that keeps failing is set aside and named.
"""

import posixpath
from collections.abc import Callable, Sequence

from tasks.config.stages import Resources, StageConfig
from tasks.executor.capacity import shard_resources
from tasks.executor.local import run_locally
from tasks.executor.scheduler import Scheduler
from tasks.executor.shard import Payload, Shard, ShardFunction
from tasks.executor.watchdog import Watch
from tasks.storage.manifest import ShardRecord
from tasks.storage.workspace import Workspace


def fan_out(
    name: str,
    shards: Sequence[Shard[Payload]],
    prepare: Callable[[], ShardFunction[Payload]],
    config: StageConfig,
    watch: Watch | None = None,
    needed: Resources | None = None,
) -> dict[int, ShardRecord]:
    """Compute the shards whose files do not exist; return every shard's record by its index.

    Args:
        name: the stage's, for the log.
        shards: all of the stage's.
        prepare: makes the function that computes a shard; called once in each worker that has one to compute.
        config: the workspace, the executor, and how often a shard is tried.
        watch: how workers are watched while they read files; None: they are not.
        needed: what one worker needs where the configuration does not say; None: one core.

    Raises:
        StageFailed: some shards could not be done.
        WorkflowError: no node has what a worker asks for, or the workspace cannot be written.
    """
    scheduler = Scheduler(name, shards, config)
    if (first := scheduler.first_missing) is not None:
        Workspace(config.workspace).check_writable(posixpath.dirname(first.path))
    resources = shard_resources(config.resources, needed)
    if config.ray.in_process:
        run_locally(scheduler, prepare, config, resources, watch)
    else:
        from tasks.executor.ray_actors import run_on_ray  # Ray takes seconds to import

        run_on_ray(scheduler, prepare, config, resources, watch)
    return scheduler.results()
