"""Ingest: source files to utterance shards of whole conversations, and the rows that could not be used beside them.

Two fan-outs, so that no one holds more than a batch or a shard. `scan` types every source file's rows and orders each
batch by the shard its conversations belong to; `ingest` collects each shard's rows from all scanned files.
"""

import hashlib
import logging
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from fsspec.implementations.local import LocalFileSystem

from tasks.archive import archive_manifest_path, rejected_folder, utterances_folder
from tasks.config import Column, IngestConfig
from tasks.days import DAYS, said_by_day
from tasks.errors import WorkflowError
from tasks.fan_out import fan_out
from tasks.given import all_there
from tasks.lay_given import GivenPlan, lay_features
from tasks.manifest import MANIFEST, Manifest, ShardRecord, fingerprint, read_manifest
from tasks.rows import SCANNED, typed_rows
from tasks.schema import KEY, REJECTED, UTTERANCES, conform
from tasks.shards import Shard, ShardFunction, ShardOutput, Stream, shard_columns
from tasks.sources import BATCH_ROWS, SourceFile, WithFeatures, source
from tasks.stage import Stage, run_stage
from tasks.stores import answering, file_version, open_url
from tasks.workspace import Workspace

log = logging.getLogger("sdt.ingest")

CODE_VERSION = 3
_FEWEST_SHARDS = 4
_CHUNK_ROWS = 4 * BATCH_ROWS  # scanned rows ordered by shard at a time
# Small source files are scanned together, and of a large source no more than so many parts are made: every shard opens
# each of them.
_SCAN_FILES, _SCAN_BYTES, _SCAN_PARTS = 64, 32 * 2**20, 256
_SCANNED = SCANNED.append(pa.field("order", pa.int32()))  # the source file's place among all


@dataclass(frozen=True)
class IngestPlan:
    """What every worker is told."""

    workspace: Workspace
    kind: str
    archive: str
    media_root: str | None
    shards: int
    identity: str
    content: str
    columns: Mapping[Column, str] | None = None

    @property
    def scan_folder(self) -> str:
        # With the number, so that parts that another version left half done are not taken for these.
        return f"archives/{self.archive}/scan/{self.identity}-{_SCAN_PARTS}"


def ingest(config: IngestConfig) -> Manifest:
    """Bring an archive in; one already made from the same files is left as it is.

    Raises:
        WorkflowError: the source is not there or of another format, or rows were lost on the way.
        StageFailed: some files or shards could not be done.
    """
    workspace = Workspace(config.workspace)
    with answering(config.path):
        files = source(config.kind, config.columns).files(config.path, config.media_root)
        plan = _plan(workspace, config, files)
    path = archive_manifest_path(config.archive)
    found = read_manifest(workspace, path)
    if found is not None and found.fingerprint == plan.identity and all_there(workspace, config.archive, found):
        log.info("ingest: nothing to do, %d shards and %d rows are there", len(found.shards), found.rows)
    else:
        found = _ingest(plan, files, config)
        found.write(workspace, path)
    workspace.remove_folder(f"archives/{config.archive}/scan")
    return found


def _plan(workspace: Workspace, config: IngestConfig, files: list[SourceFile]) -> IngestPlan:
    size = sum(file.size for file in files)
    shards = config.shards or max(_FEWEST_SHARDS, math.ceil(size / (config.shard_mb * 2**20)))
    content = [
        (file.name, file.size, _content(file), file.audio, file.video, file.companion and _content(file.companion))
        for file in files
    ]
    identity = fingerprint(CODE_VERSION, config.kind, config.columns, config.media_root, shards, content)
    return IngestPlan(
        workspace,
        config.kind,
        config.archive,
        config.media_root,
        shards,
        identity,
        fingerprint(content),
        config.columns,
    )


def _content(file: SourceFile) -> str:
    """What changes when the file's content does: its hash, or what an object store has in its place."""
    fs, path = file.filesystem
    if not isinstance(fs, LocalFileSystem):
        return file_version(fs, path)
    digest = hashlib.sha256()
    with fs.open(path, "rb") as opened:
        while block := opened.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def _media_root(config: IngestConfig) -> str:
    """The folder that media URIs are relative to, as a URL or an absolute path."""
    fs, root = open_url(config.media_root or config.path)
    folder = root if config.media_root or fs.isdir(root) else root.rsplit("/", 1)[0]
    return str(folder if isinstance(fs, LocalFileSystem) else fs.unstrip_protocol(folder))


def scan_groups(files: list[SourceFile]) -> list[list[tuple[int, SourceFile]]]:
    """Files that are scanned by one task, each with its place among all."""
    most_files = max(_SCAN_FILES, math.ceil(len(files) / _SCAN_PARTS))
    most_bytes = max(_SCAN_BYTES, math.ceil(2 * sum(file.size for file in files) / _SCAN_PARTS))  # half full at least
    groups: list[list[tuple[int, SourceFile]]] = []
    size = 0
    for place, file in enumerate(files):
        if not groups or len(groups[-1]) == most_files or size + file.size > most_bytes:
            groups.append([])
            size = 0
        groups[-1].append((place, file))
        size += file.size
    return groups


def _ingest(plan: IngestPlan, files: list[SourceFile], config: IngestConfig) -> Manifest:
    groups = scan_groups(files)
    scan = Stage(
        name="scan",
        fingerprint=plan.identity,
        manifest_path=f"{plan.scan_folder}/{MANIFEST}",
        shards=tuple(
            Shard(i, f"{plan.scan_folder}/part-{i:05d}.parquet", {"files": group}) for i, group in enumerate(groups)
        ),
        prepare=partial(_prepare_scan, plan),
    )
    scanned = run_stage(scan, config)
    folder = utterances_folder(plan.archive, plan.identity)
    shards = [Shard(i, f"{folder}/part-{i:05d}.parquet") for i in range(plan.shards)]
    records = fan_out("ingest", shards, partial(_prepare_shard, plan, len(groups)), config)
    way_in = source(plan.kind)
    given = _lay_features(plan, way_in, files, records, config) if isinstance(way_in, WithFeatures) else {}
    manifest = Manifest(
        stage="ingest",
        fingerprint=plan.identity,
        shards=tuple(records[shard.index] for shard in shards),
        columns=shard_columns(plan.workspace, shards[0].path),
        facts={
            "kind": plan.kind,
            "media_root": _media_root(config),
            "sources": [file.name for file in files],
            **given,
        },
    )
    _check(scanned.rows, manifest)
    return manifest


def _lay_features(
    plan: IngestPlan,
    way_in: WithFeatures,
    files: list[SourceFile],
    records: dict[int, ShardRecord],
    config: IngestConfig,
) -> dict[str, object]:
    """Lay the features that the one file holds beside the utterances, before the archive counts as there."""
    given = GivenPlan(plan.workspace, plan.archive, way_in, plan.scan_folder, plan.shards, plan.identity, plan.content)
    return lay_features(given, files[0], [records[index] for index in sorted(records)], config)


def _check(rows: int, manifest: Manifest) -> None:
    counts = manifest.counts
    if not (rows == counts["accepted"] + counts["rejected"] and manifest.rows == counts["accepted"]):
        raise WorkflowError(
            f"ingest: {rows} rows were read, {counts['accepted']} accepted and {counts['rejected']} rejected\n"
            "  these must add up; this is a fault of ingest, and no archive was made"
        )


def _prepare_scan(plan: IngestPlan) -> ShardFunction:
    return partial(scan_files, plan)


def scan_files(plan: IngestPlan, shard: Shard) -> ShardOutput:
    """Type source files' rows: schema `_SCANNED`, each chunk ordered by bucket, many row groups a chunk."""
    chunks = _chunks(_typed_files(plan, shard.payload["files"]))
    # A row group holds about one bucket of a chunk, so that reading a shard passes over most of the file.
    return ShardOutput(Stream(_SCANNED, chunks, row_group_size=max(1024, _CHUNK_ROWS // plan.shards)))


def _typed_files(plan: IngestPlan, files: list[tuple[int, SourceFile]]) -> Iterator[pa.Table]:
    way_in = source(plan.kind, plan.columns)
    for place, file in files:
        with answering(file.url):
            for batch in way_in.batches(file, plan.media_root):
                table = typed_rows(batch, file.name, plan.shards)
                yield table.append_column("order", pa.repeat(pa.scalar(place, pa.int32()), table.num_rows))


def _chunks(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        if sum(part.num_rows for part in waiting) >= _CHUNK_ROWS:
            yield pa.concat_tables(waiting).sort_by("bucket")
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting).sort_by("bucket")


def _prepare_shard(plan: IngestPlan, parts: int) -> ShardFunction:
    return partial(collect_shard, plan, parts)


def collect_shard(plan: IngestPlan, parts: int, shard: Shard) -> ShardOutput:
    """One utterance shard: its rows from every scanned file, sorted by the key, each key once."""
    rows = pl.DataFrame(pl.from_arrow(_scanned(plan, parts, shard.index)))
    rows = _reject_duplicates(rows)
    accepted = rows.filter(pl.col("reason").is_null()).sort(KEY)
    rejected = rows.filter(pl.col("reason").is_not_null()).sort("order", "row")
    table = conform(_shaped(accepted, UTTERANCES), UTTERANCES, shard.path)
    beside = {}
    if len(rejected):
        path = shard.path.replace(utterances_folder(plan.archive, ""), rejected_folder(plan.archive, ""))
        beside[path] = conform(_shaped(rejected, REJECTED), REJECTED, path)
    return ShardOutput(table, _counts(accepted, rejected), _facts(accepted), beside)


def _scanned(plan: IngestPlan, parts: int, bucket: int) -> pa.Table:
    """A bucket's rows from all that was scanned: schema `_SCANNED`."""
    found = []
    for i in range(parts):
        path = f"{plan.scan_folder}/part-{i:05d}.parquet"
        with plan.workspace.dataset(path, _SCANNED) as scanned:
            found.append(scanned.to_table(filter=pc.field("bucket") == bucket))
    return pa.concat_tables(found)


def _reject_duplicates(rows: pl.DataFrame) -> pl.DataFrame:
    """Of rows with the same key the first one read stays."""
    rows = rows.sort("order", "row")
    first = pl.col("file").first() + pl.lit(" row ") + pl.col("row").first().cast(pl.String)
    usable = rows.filter(pl.col("reason").is_null()).with_columns(
        again=pl.int_range(pl.len()).over(KEY) > 0, reason=pl.lit("duplicate of ") + first.over(KEY)
    )
    repeated = usable.filter("again").drop("again")
    repeated = repeated.with_columns(content=pl.struct(UTTERANCES.names).struct.json_encode())
    once = usable.filter(~pl.col("again")).drop("again").with_columns(reason=pl.lit(None, pl.String))
    return pl.concat([once, rows.filter(pl.col("reason").is_not_null()), repeated])


def _shaped(rows: pl.DataFrame, schema: pa.Schema) -> pa.Table:
    return rows.select(schema.names).to_arrow().cast(pa.schema([pa.field(f.name, f.type) for f in schema]))


def _counts(accepted: pl.DataFrame, rejected: pl.DataFrame) -> dict[str, int]:
    there = {name: int(accepted[name].is_not_null().sum()) for name in ("text", "audio", "video")}
    return {
        "rows_in": len(accepted) + len(rejected),
        "accepted": len(accepted),
        "rejected": len(rejected),
        **there,
        "labelled": int(accepted["emotion"].is_not_null().sum()),
    }


def _facts(accepted: pl.DataFrame) -> dict[str, object]:
    emotions = accepted["emotion"].drop_nulls().value_counts().sort("emotion")
    return {
        "conversations": accepted["conversation_id"].n_unique(),
        DAYS: said_by_day(accepted),
        "emotions": dict(emotions.iter_rows()),
        "splits": accepted["split"].unique().sort().to_list(),
    }
