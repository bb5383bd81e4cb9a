"""What a worker of any executor does with the shards that it is handed."""

import time
from collections.abc import Callable
from typing import Any

import pyarrow as pa

from tasks.errors import DamagedFile
from tasks.executor.scheduler import Attempt
from tasks.executor.shard import ShardFunction, existing_shard, run_shard
from tasks.storage.manifest import ShardRecord, remove_damaged
from tasks.storage.workspace import Workspace


class ShardWorker:
    """Prepares once, when it first has a shard to compute, then does one shard after another."""

    def __init__(self, workspace: Workspace, prepare: Callable[[], ShardFunction[Any]]) -> None:
        self._workspace = workspace
        self._prepare = prepare
        self._work: ShardFunction[Any] | None = None

    def do(self, attempt: Attempt, exists: bool) -> ShardRecord:
        """The record of a shard, which is computed unless its file exists and is whole."""
        time.sleep(attempt.pause_s)
        if exists:
            try:
                return existing_shard(self._workspace, attempt.shard)
            except FileNotFoundError:
                pass  # it was removed since the stage began
            except DamagedFile as error:
                remove_damaged(self._workspace, {attempt.shard.path: error.reason}, f"shard {attempt.shard.index}")
        if self._work is None:
            self._work = self._prepare()
        record = run_shard(self._workspace, attempt.shard, self._work)
        pa.default_memory_pool().release_unused()  # else a worker is a tenth larger after ten shards than after one
        return record
