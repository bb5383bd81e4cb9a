"""A shard: the unit of work, retry and resume. What it is, what its function returns, and how it becomes a file."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import pyarrow as pa

from tasks.errors import DamagedFile
from tasks.storage.manifest import ShardFacts, ShardRecord, file_digest
from tasks.storage.vector_field import column_type
from tasks.storage.workspace import ROW_GROUP, Workspace

_RECORD = b"sdt"  # key of the counts and facts in a shard file's Parquet metadata
Payload = TypeVar("Payload")


@dataclass(frozen=True)
class Shard(Generic[Payload]):
    """One unit of work: its number, the file it becomes, and what its function needs to know.

    Attributes:
        aside: in a watched stage the files that it must not open, and why.
        source: shards of one source are done by one worker, one after another, as long as there are others to do.
        sha256: of the file, where a manifest has it; a file of which none knows that is read through before it counts.
    """

    index: int
    path: str
    payload: Payload = None  # type: ignore[assignment]  # of a stage whose function needs nothing more
    aside: dict[str, str] = field(default_factory=dict)
    source: str = ""
    sha256: str = ""


@dataclass(frozen=True)
class Stream:
    """A shard too large to hold: tables written one after another, each cut into row groups."""

    schema: pa.Schema
    tables: Iterator[pa.Table]
    row_group_size: int


@dataclass(frozen=True)
class ShardOutput:
    """What a shard function returns; ``beside`` holds further files (path -> table), published before the shard.

    Who reads a part of a table reads the row groups that it lies in.
    """

    table: pa.Table | Stream
    counts: dict[str, int] = field(default_factory=dict)
    facts: ShardFacts = field(default_factory=ShardFacts)
    beside: dict[str, pa.Table] = field(default_factory=dict)
    row_group_size: int = ROW_GROUP


ShardFunction = Callable[[Shard[Payload]], ShardOutput]


def run_shard(workspace: Workspace, shard: Shard[Payload], work: ShardFunction[Payload]) -> ShardRecord:
    """Compute one shard and publish it; the file is there whole, or not at all."""
    output = work(shard)
    for path, table in output.beside.items():
        workspace.write_table(path, table)
    record = {_RECORD: json.dumps({"counts": output.counts, "facts": output.facts.plain()}, sort_keys=True).encode()}
    if isinstance(output.table, Stream):
        stream = output.table
        workspace.write_tables(shard.path, stream.schema.with_metadata(record), stream.tables, stream.row_group_size)
    else:
        workspace.write_table(shard.path, output.table.replace_schema_metadata(record), output.row_group_size)
    return describe_shard(workspace, shard)


def describe_shard(workspace: Workspace, shard: Shard[Payload]) -> ShardRecord:
    """The record of a shard file that is there.

    Raises:
        FileNotFoundError: it is not.
        DamagedFile: it is not what was written.
    """
    digest, size = file_digest(workspace, shard.path)
    with workspace.parquet(shard.path) as parquet:
        try:
            record = json.loads(parquet.metadata.metadata[_RECORD])
        except (KeyError, TypeError, ValueError) as error:
            raise DamagedFile(workspace.uri(shard.path), shard.path, "it lacks a shard's record") from error
        rows = parquet.metadata.num_rows
    return ShardRecord(index=shard.index, path=shard.path, rows=rows, bytes=size, sha256=digest, **record)


def existing_shard(workspace: Workspace, shard: Shard[Payload]) -> ShardRecord:
    """The record of a shard file that an earlier run left, once it is known to be whole.

    Raises:
        FileNotFoundError: it is not there.
        DamagedFile: it is not what was written.
    """
    record = describe_shard(workspace, shard)
    if record.sha256 == shard.sha256:
        return record
    if shard.sha256:
        raise DamagedFile(workspace.uri(shard.path), shard.path, "its sha256 is not that of its manifest")
    with workspace.parquet(shard.path) as parquet:
        for group in range(parquet.num_row_groups):
            parquet.read_row_group(group)
    return record


def shard_columns(workspace: Workspace, path: str) -> dict[str, str]:
    """Name and type of each column of a shard file; vectors are described as the lists that they stand for."""
    with workspace.parquet(path) as parquet:
        return {field.name: column_type(field) for field in parquet.schema_arrow}
