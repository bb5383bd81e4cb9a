"""Copying vectors from earlier feature shards, where their content key is the same.

The same extractor made them of the same archive; what differs is which conversations the archive held, and in how
many shards. An earlier file is read a row group at a time, and only where it has something.
"""

import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from tasks.archive.layout import shard_number
from tasks.archive.sharding import shard_of
from tasks.errors import DamagedFile
from tasks.extractors.base import Extracted
from tasks.features.content_keys import Keys
from tasks.features.vectors import vectors_of
from tasks.storage.workspace import Workspace

log = logging.getLogger("sdt.extract")

Wanted = dict[bytes, list[int]]


@dataclass(frozen=True)
class Earlier:
    """Feature shards in the extractor's folder.

    Attributes:
        files: by the number of the shard; there may be several of one, of different days.
        counts: how many shards there were, now and before. A conversation's number follows from it.
    """

    files: dict[int, tuple[str, ...]]
    counts: frozenset[int]

    @classmethod
    def among(cls, paths: Iterable[str], counts: Collection[int]) -> "Earlier":
        """Pick the feature shards out of a folder's files."""
        files: dict[int, tuple[str, ...]] = defaultdict(tuple)
        for path in sorted(paths):
            if (number := shard_number(path)) is not None:
                files[number] = (*files[number], path)
        return cls(dict(files), frozenset(counts))

    def of(self, conversations: Collection[str], own: int) -> list[str]:
        """The files that may hold some of the conversations, those of shard ``own`` first."""
        numbers = {shard_of(name, count) for name in conversations for count in self.counts}
        ordered = sorted(numbers & self.files.keys(), key=lambda number: (number != own, number))
        return [path for number in ordered for path in self.files[number]]


def copy_rows(
    workspace: Workspace, earlier: Earlier, own: int, utterances: pa.Table, keys: Keys, target: Extracted
) -> list[int]:
    """Copy into ``target`` what earlier files have of shard ``own``; return the rows whose key none of them has."""
    wanted: Wanted = defaultdict(list)
    for row, key in enumerate(keys):
        if key is not None:
            wanted[key].append(row)
    conversations = set(utterances["conversation_id"].unique().to_pylist()) if wanted else set()
    for path in earlier.of(conversations, own):
        for table in _holding(workspace, path, wanted):
            _copy(table, wanted, target)
        if not wanted:
            break
    return sorted(row for rows in wanted.values() for row in rows)


def _holding(workspace: Workspace, path: str, wanted: Wanted) -> Iterator[pa.Table]:
    """The row groups of a file that hold something; none where it was removed meanwhile, or is damaged."""
    try:
        with workspace.parquet(path) as file:
            if "made_from" not in file.schema_arrow.names:  # of the time before there were keys
                return
            for group in range(file.num_row_groups):
                keys = file.read_row_group(group, columns=["made_from"])["made_from"]
                if not wanted.keys().isdisjoint(keys.to_pylist()):
                    yield file.read_row_group(group, columns=["made_from", "vector", "reason"])
    except FileNotFoundError:
        return
    except DamagedFile as error:
        log.warning("%s, and passed over", error)


def _copy(table: pa.Table, wanted: Wanted, target: Extracted) -> None:
    vectors, valid = vectors_of(table)
    reasons = table["reason"].to_pylist()
    for place, key in enumerate(table["made_from"].to_pylist()):
        for row in wanted.pop(key, ()):
            target.vectors[row], target.valid[row], target.reasons[row] = vectors[place], valid[place], reasons[place]
