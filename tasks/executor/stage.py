"""A stage over shards: what is missing is computed, and the manifest is written last.

A stage says what to do with one shard: a plain function from a `Shard` to a `ShardOutput`. `tasks.executor.fan_out`
runs it.
"""

import logging
import posixpath
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, Generic

from tasks.config.stages import Resources, StageConfig
from tasks.executor.fan_out import fan_out
from tasks.executor.shard import Payload, Shard, ShardFunction, shard_columns
from tasks.executor.watchdog import Watch
from tasks.storage.manifest import Facts, Manifest, incomplete_shards, remove_damaged, usable_manifest
from tasks.storage.workspace import Workspace

log = logging.getLogger("sdt.stage")

_MOST_NAMES = 10  # in a message


@dataclass(frozen=True)
class Stage(Generic[Payload]):
    """A stage ready to run. ``prepare`` is called once in each worker that has a shard to do: it loads the model."""

    name: str
    fingerprint: str
    manifest_path: str
    shards: tuple[Shard[Payload], ...]
    prepare: Callable[[], ShardFunction[Payload]]
    facts: Facts = field(default_factory=Facts)
    watch: Watch | None = None
    resources: Resources | None = None
    """What one worker needs where the configuration does not say."""


def finished(stage: Stage[Any], config: StageConfig) -> Manifest | None:
    """The stage's manifest, where all that it names is there as it says; None where there is something to do."""
    manifest, damaged = _state(stage, config)
    return None if manifest is None or damaged else _nothing_to_do(stage, manifest)


def run_stage(stage: Stage[Any], config: StageConfig, fence: Callable[[], None] = lambda: None) -> Manifest:
    """Do the shards that are missing or damaged, then write the manifest.

    Args:
        stage: what to do.
        config: where, and by which executor.
        fence: called before the manifest is written; raises where another run has taken over.

    Raises:
        StageFailed: some shards could not be done; the others are, and the next run does the missing ones only.
    """
    workspace = Workspace(config.workspace)
    manifest, damaged = _state(stage, config)
    if manifest is not None and not damaged:
        return _nothing_to_do(stage, manifest)
    remove_damaged(workspace, damaged, stage.name)
    records = fan_out(stage.name, stage.shards, stage.prepare, config, stage.watch, stage.resources)
    columns = shard_columns(workspace, stage.shards[0].path) if stage.shards else {}
    manifest = Manifest(
        stage=stage.name,
        fingerprint=stage.fingerprint,
        shards=tuple(records[shard.index] for shard in stage.shards),
        columns=columns,
        facts=stage.facts.plain(),
    )
    fence()
    manifest.write(workspace, stage.manifest_path)
    if aside := manifest.aside:
        log.warning("%s: completed with %s", stage.name, files_aside(aside))
    return manifest


def _nothing_to_do(stage: Stage[Any], manifest: Manifest) -> Manifest:
    log.info("%s: nothing to do, %d shards and %d rows are there", stage.name, len(manifest.shards), manifest.rows)
    return manifest


def _state(stage: Stage[Any], config: StageConfig) -> tuple[Manifest | None, dict[str, str]]:
    """The stage's manifest, None where it is of something else, and the shards that are not as it says."""
    workspace = Workspace(config.workspace)
    manifest = usable_manifest(workspace, stage.manifest_path)
    if manifest is None or manifest.fingerprint != stage.fingerprint:
        return None, {}
    sizes = workspace.sizes(posixpath.dirname(stage.manifest_path))
    return manifest, incomplete_shards(workspace, manifest.shards, sizes, config.check)


def files_aside(names: Collection[str]) -> str:
    """How many files were set aside, and which, in words."""
    shown = ", ".join(sorted(names)[:_MOST_NAMES]) + (", ..." if len(names) > _MOST_NAMES else "")
    return f"{len(names)} file{'s' if len(names) != 1 else ''} set aside: {shown}"
