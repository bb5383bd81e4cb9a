"""Ingest: source files to utterance shards of whole conversations, and the rows that could not be used beside them.

Two fan-outs, so that no one holds more than a batch or a shard. `scan` types every source file's rows and orders each
batch by the shard its conversations belong to; `ingest` merges each shard's rows from all scanned files.
"""

import logging
from functools import partial

from fsspec.implementations.local import LocalFileSystem

from tasks.archive.facts import IngestFacts
from tasks.archive.layout import (
    archive_folder,
    archive_manifest_path,
    manifest_path,
    rejected_path,
    scan_folder,
    shard_file,
    utterances_folder,
)
from tasks.archive.leases import archive_of_ingest
from tasks.archive.schema import REJECTED
from tasks.config.stages import IngestConfig
from tasks.errors import DamagedFile, WorkflowError
from tasks.executor.fan_out import fan_out
from tasks.executor.shard import Shard, ShardFunction, shard_columns
from tasks.executor.stage import Stage, run_stage
from tasks.features.precomputed import all_present
from tasks.ingest.import_features import ImportPlan, import_features
from tasks.ingest.merge import merge_shard
from tasks.ingest.scan import READER_VERSION, FileGroup, IngestPlan, plan_ingest, scan_files, scan_groups
from tasks.query import rejection_reasons
from tasks.sources.base import FeatureSource, SourceFile
from tasks.sources.registry import source
from tasks.storage.filesystem import answering, is_folder, open_url
from tasks.storage.lease import Lease, lease
from tasks.storage.manifest import Manifest, ShardRecord, incomplete_shards, remove_damaged, usable_manifest
from tasks.storage.workspace import Workspace

log = logging.getLogger("sdt.ingest")

_MOST_REASONS = 5  # in an error


def ingest(config: IngestConfig, run: str = "") -> Manifest:
    """Bring an archive in; one already made from the same files is left as it is.

    ``run`` is how a second run that would write the same archive is told who does.

    Raises:
        WorkflowError: the source is not there or of another format, none of its rows can be used, rows were lost on the
            way, or another run writes the archive.
        StageFailed: some files or shards could not be done.
    """
    workspace = Workspace(config.workspace)
    plan, files = _plan(workspace, config)
    leftover = bool(workspace.files(scan_folder(config.archive)))
    if not leftover and (manifest := _complete(plan, config)) is not None:
        return manifest
    with lease(workspace, archive_of_ingest(config.archive), config.lease_s, run) as claim:
        if claim.waited:  # for a run that may have brought in other files
            plan, files = _plan(workspace, config)
        manifest = _complete(plan, config)
        if manifest is None:
            manifest = _ingest(plan, files, config, claim)
            _check_accepted(workspace, manifest, config)
            claim.check()
            manifest.write(workspace, archive_manifest_path(config.archive))
        claim.check()
        workspace.remove_folder(scan_folder(config.archive))
    return manifest


def _plan(workspace: Workspace, config: IngestConfig) -> tuple[IngestPlan, list[SourceFile]]:
    with answering(config.path):
        files = source(config.kind, config).files(config.path, config.media_root)
        return plan_ingest(workspace, config, files), files


def _complete(plan: IngestPlan, config: IngestConfig) -> Manifest | None:
    """The archive's manifest, where it was made from these files and all that belongs to it is there; else None."""
    manifest = usable_manifest(plan.workspace, archive_manifest_path(plan.archive))
    if manifest is None or manifest.fingerprint != plan.identity:
        return None
    if _damaged(plan, manifest, config) or not all_present(plan.workspace, plan.archive, manifest, config.check):
        return None
    _check_accepted(plan.workspace, manifest, config)
    log.info("ingest: nothing to do, %d shards and %d rows are there", len(manifest.shards), manifest.rows)
    if IngestFacts.of(manifest).reader < READER_VERSION:
        log.info("ingest: an earlier version made it; what is read otherwise since, and how to, is in CHANGELOG.md")
    return manifest


def _damaged(plan: IngestPlan, manifest: Manifest, config: IngestConfig) -> dict[str, str]:
    """The archive's utterance shards that are not as the manifest says, or lack the rows that were rejected."""
    sizes = plan.workspace.sizes(archive_folder(plan.archive))
    damaged = incomplete_shards(plan.workspace, manifest.shards, sizes, config.check)
    for shard in manifest.shards:
        rejected, count = rejected_path(plan.archive, shard.path), shard.counts.get("rejected", 0)
        if count and not sizes.get(rejected):
            damaged[shard.path] = f"{rejected} is not there"
        elif count and config.check == "content" and (why := _wrong_rows(plan.workspace, rejected, count)):
            damaged[shard.path] = f"{rejected}: {why}"
    return damaged


def _wrong_rows(workspace: Workspace, path: str, count: int) -> str | None:
    """What is wrong with a file of rejected rows, of which manifests say only how many there are."""
    try:
        rows = workspace.read_table(path, REJECTED.names).num_rows
    except DamagedFile as error:
        return error.reason
    return None if rows == count else f"it has {rows} rows, and {count} in the manifest"


def _media_root(config: IngestConfig) -> str:
    """The folder that media URIs are relative to, as a URL or an absolute path."""
    fs, root = open_url(config.media_root or config.path)
    folder = root if config.media_root or is_folder(fs, root) else root.rsplit("/", 1)[0]
    return str(folder if isinstance(fs, LocalFileSystem) else fs.unstrip_protocol(folder))


def _ingest(plan: IngestPlan, files: list[SourceFile], config: IngestConfig, claim: Lease) -> Manifest:
    groups = scan_groups(files)
    scan = Stage(
        name="scan",
        fingerprint=plan.identity,
        manifest_path=manifest_path(plan.scan_folder),
        shards=tuple(Shard(i, plan.part_path(i), group) for i, group in enumerate(groups)),
        prepare=partial(_prepare_scan, plan),
    )
    scanned = run_stage(scan, config, claim.check)
    shards = _shards(plan, config)
    records = fan_out("ingest", shards, partial(_prepare_shard, plan, len(groups)), config)
    way_in = source(plan.kind, plan.table)
    facts = IngestFacts(
        kind=plan.kind,
        media_root=_media_root(config),
        sources=tuple(file.name for file in files),
        reader=READER_VERSION,
    )
    if isinstance(way_in, FeatureSource):
        facts = facts.model_copy(update=_import_features(plan, way_in, files, records, config))
    manifest = Manifest(
        stage="ingest",
        fingerprint=plan.identity,
        shards=tuple(records[shard.index] for shard in shards),
        columns=shard_columns(plan.workspace, shards[0].path),
        facts=facts.plain(),
    )
    _check(scanned.rows, manifest)
    return manifest


def _shards(plan: IngestPlan, config: IngestConfig) -> list[Shard[None]]:
    """The utterance shards; of an archive that was complete, with what is known of their files."""
    manifest = usable_manifest(plan.workspace, archive_manifest_path(plan.archive))
    known = manifest if manifest is not None and manifest.fingerprint == plan.identity else None
    if known:
        remove_damaged(plan.workspace, _damaged(plan, known, config), "ingest")
    digests = {shard.path: shard.sha256 for shard in known.shards} if known else {}
    paths = [shard_file(utterances_folder(plan.archive, plan.identity), i) for i in range(plan.shards)]
    return [Shard[None](i, path, sha256=digests.get(path, "")) for i, path in enumerate(paths)]


def _import_features(
    plan: IngestPlan,
    way_in: FeatureSource,
    files: list[SourceFile],
    records: dict[int, ShardRecord],
    config: IngestConfig,
) -> dict[str, object]:
    """Import the features that the one file brings, before the archive counts as complete."""
    import_plan = ImportPlan(
        plan.workspace, plan.archive, way_in, plan.scan_folder, plan.shards, plan.identity, plan.content
    )
    return import_features(import_plan, files[0], [records[index] for index in sorted(records)], config)


def _check(rows: int, manifest: Manifest) -> None:
    counts = manifest.counts
    if not (rows == counts["accepted"] + counts["rejected"] and manifest.rows == counts["accepted"]):
        raise WorkflowError(
            f"ingest: {rows} rows were read, {counts['accepted']} accepted and {counts['rejected']} rejected\n"
            "  these must add up; this is a fault of ingest, and no archive was made"
        )


def _check_accepted(workspace: Workspace, manifest: Manifest, config: IngestConfig) -> None:
    """An archive of nothing would be a success that every later stage fails of."""
    if manifest.rows:
        return
    rows = manifest.counts["rows_in"]
    reasons = list(rejection_reasons(workspace, config.archive, manifest).items())[:_MOST_REASONS]
    lines = [f"  {count:,}: {reason}" for reason, count in reasons]
    what = f"none of the {rows:,} rows of {config.path} can be used" if rows else f"{config.path} has no rows"
    columns = '  if its columns are called otherwise: --set \'columns={"conversation_id": "..."}\''
    raise WorkflowError(
        "\n".join(
            [
                f"ingest: {what}, and no archive was made of it",
                *lines,
                *([columns] if config.kind == "table" and rows else []),
                "  an archive that has this name already is as it was",
            ]
        )
    )


def _prepare_scan(plan: IngestPlan) -> ShardFunction[FileGroup]:
    return partial(scan_files, plan)


def _prepare_shard(plan: IngestPlan, parts: int) -> ShardFunction[None]:
    return partial(merge_shard, plan, parts)
