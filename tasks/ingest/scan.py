"""Scan source files: plan what is to be read, type the rows, and order them by the shard they go to."""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
from fsspec.implementations.local import LocalFileSystem

from tasks.archive.layout import scan_folder, shard_file
from tasks.config.sources import SourceKind
from tasks.config.stages import IngestConfig
from tasks.config.tables import TableSettings
from tasks.executor.shard import Shard, ShardOutput, Stream
from tasks.ingest.validate import SCANNED, typed_rows
from tasks.sources.base import BATCH_ROWS, SourceFile
from tasks.sources.registry import source
from tasks.sources.tables.table import Table
from tasks.storage.filesystem import answering, file_version
from tasks.storage.manifest import fingerprint
from tasks.storage.workspace import Workspace

CODE_VERSION = 3
# Raised where faulty values are read otherwise: archives that are there stay, and those made from now on have it.
READER_VERSION = 2
_FEWEST_SHARDS = 4
_CHUNK_ROWS, _CHUNK_BYTES = 4 * BATCH_ROWS, 512 * 2**20  # scanned rows ordered by shard at a time
# Small source files are scanned together, and of a large source no more than so many parts are made: every shard opens
# each of them.
_SCAN_FILES, _SCAN_BYTES, _SCAN_PARTS = 64, 32 * 2**20, 256
FileGroup = list[tuple[int, SourceFile]]
"""Source files that are scanned by one task, each with its place among all."""
SCANNED_ROWS = SCANNED.append(pa.field("order", pa.int32()))  # the source file's place among all


@dataclass(frozen=True)
class IngestPlan:
    """What every worker needs to know."""

    workspace: Workspace
    kind: SourceKind
    archive: str
    media_root: str | None
    shards: int
    identity: str
    content: str
    table: TableSettings | None = None

    @property
    def scan_folder(self) -> str:
        # With the numbers, so that parts that another version left half done are not taken for these.
        return scan_folder(self.archive, f"{self.identity}-{_SCAN_PARTS}-{READER_VERSION}")

    def part_path(self, index: int) -> str:
        """Where the rows of a group of source files are."""
        return shard_file(self.scan_folder, index)


def plan_ingest(workspace: Workspace, config: IngestConfig, files: list[SourceFile]) -> IngestPlan:
    """What is to be read, by content; into how many shards."""
    size = sum(file.size for file in files)
    shards = config.shards or max(_FEWEST_SHARDS, math.ceil(size / (config.shard_mb * 2**20)))
    content = [
        (file.name, file.size, _content(file), file.audio, file.video, file.companion and _content(file.companion))
        for file in files
    ]
    table = (
        TableSettings(**config.model_dump(include=set(TableSettings.model_fields))) if config.kind == "table" else None
    )
    extras = [*table.extras(), *_path_columns(files, table)] if table else []
    identity = fingerprint(CODE_VERSION, config.kind, config.columns, config.media_root, shards, content, *extras)
    return IngestPlan(
        workspace,
        config.kind,
        config.archive,
        config.media_root,
        shards,
        identity,
        fingerprint(content),
        table,
    )


def _path_columns(files: list[SourceFile], table: TableSettings) -> list[list[dict[str, str | None]]]:
    """What the files' paths say, for the fingerprint; empty where they say nothing."""
    columns = [Table(table).path_says(file) for file in files]
    return [columns] if any(columns) else []


def _content(file: SourceFile) -> str:
    """What changes when the file's content does: its hash, or what an object store has in its place."""
    fs, path = file.filesystem
    if not isinstance(fs, LocalFileSystem):
        return file_version(fs, path, fs.info(path))
    with fs.open(path, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def scan_groups(files: list[SourceFile]) -> list[FileGroup]:
    """Share the files out among tasks: many small ones, or one large one, to each."""
    most_files = max(_SCAN_FILES, math.ceil(len(files) / _SCAN_PARTS))
    most_bytes = max(_SCAN_BYTES, math.ceil(2 * sum(file.size for file in files) / _SCAN_PARTS))  # half full at least
    groups: list[FileGroup] = []
    size = 0
    for place, file in enumerate(files):
        if not groups or len(groups[-1]) == most_files or size + file.size > most_bytes:
            groups.append([])
            size = 0
        groups[-1].append((place, file))
        size += file.size
    return groups


def scan_files(plan: IngestPlan, shard: Shard[FileGroup]) -> ShardOutput:
    """Type source files' rows: schema `SCANNED_ROWS`, each chunk ordered by bucket, many row groups a chunk."""
    chunks = _chunks(_typed_files(plan, shard.payload))
    # A row group holds about one bucket of a chunk, so that reading a shard passes over most of the file.
    return ShardOutput(Stream(SCANNED_ROWS, chunks, row_group_size=max(1024, _CHUNK_ROWS // plan.shards)))


def _typed_files(plan: IngestPlan, files: FileGroup) -> Iterator[pa.Table]:
    way_in = source(plan.kind, plan.table)
    for place, file in files:
        with answering(file.url):
            for batch in way_in.batches(file, plan.media_root):
                table = typed_rows(batch, file.name, plan.shards, plan.table)
                yield table.append_column("order", pa.repeat(pa.scalar(place, pa.int32()), table.num_rows))


def _chunks(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        rows, size = sum(part.num_rows for part in waiting), sum(part.nbytes for part in waiting)
        if rows >= _CHUNK_ROWS or size >= _CHUNK_BYTES:
            yield pa.concat_tables(waiting).sort_by("bucket")
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting).sort_by("bucket")
