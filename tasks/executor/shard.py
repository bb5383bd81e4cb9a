"""A shard: the unit of work, retry and resume. What it is, what its function returns, and how it becomes a file."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import pyarrow as pa

from tasks.storage.manifest import ShardFacts, ShardRecord
from tasks.storage.workspace import ROW_GROUP, Workspace

_RECORD = b"sdt"  # key of the counts and facts in a shard file's Parquet metadata
Payload = TypeVar("Payload")


@dataclass(frozen=True)
class Shard(Generic[Payload]):
    """One unit of work: its number, the file it becomes, and what its function needs to know.

    In a watched stage ``aside`` holds the files that it must not open, and why. Shards of one ``source`` are done by
    one worker, one after another, as long as there are others to do.
    """

    index: int
    path: str
    payload: Payload = None  # type: ignore[assignment]  # of a stage whose function needs nothing more
    aside: dict[str, str] = field(default_factory=dict)
    source: str = ""


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
    """The record of a shard file that is there."""
    digest, size = hashlib.sha256(), 0
    with workspace.open(shard.path) as file:
        while block := file.read(2**20):
            digest.update(block)
            size += len(block)
    with workspace.parquet(shard.path) as parquet:
        record = json.loads(parquet.metadata.metadata[_RECORD])
        rows = parquet.metadata.num_rows
    return ShardRecord(index=shard.index, path=shard.path, rows=rows, bytes=size, sha256=digest.hexdigest(), **record)


def shard_columns(workspace: Workspace, path: str) -> dict[str, str]:
    """Name and Arrow type of each column of a shard file."""
    with workspace.parquet(path) as parquet:
        return {column.name: str(column.type) for column in parquet.schema_arrow}
