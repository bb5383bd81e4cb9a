"""Verify: what a workspace holds of an archive, read again and compared with what its manifests say.

Every file that a manifest names is there, has its bytes, its hash, its columns and its rows; the key of a row is
unique; features and labels have a row for every utterance, and no other. One file a thread is held in memory.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from threading import Lock

import polars as pl
import pyarrow as pa

from sdt_model.config import Frozen
from tasks.archive.days import conversation_days, days_of
from tasks.archive.facts import DayContent
from tasks.archive.layout import (
    archive_features_folder,
    day_manifest,
    features_folder,
    features_place,
    manifest_path,
    shard_of_labels,
)
from tasks.archive.manifests import read_archive
from tasks.archive.schema import KEY
from tasks.archive.sharding import shard_of
from tasks.config.stages import VerifyConfig
from tasks.executor.shard import Shard, describe_shard, shard_columns
from tasks.label.manifests import label_files, labelled_days
from tasks.storage.manifest import Manifest, ShardRecord, read_manifest
from tasks.storage.workspace import Workspace

log = logging.getLogger("sdt.verify")

_THREADS = 4
_MOST_FAULTS = 1000
_UNREADABLE = (OSError, pa.ArrowException, KeyError, ValueError)  # what a damaged Parquet file comes to

Keys = Callable[[pl.DataFrame], list[str]]


class Fault(Frozen):
    """Something that is not as its manifest says."""

    path: str
    """The file, relative to the workspace."""
    what: str
    """In words."""


class VerifyReport(Frozen):
    """What was found."""

    files: dict[str, int]
    """Files read, by what they hold."""
    rows: dict[str, int]
    """Their rows."""
    faults: tuple[Fault, ...]
    """At most the first thousand."""
    notes: tuple[str, ...]
    """What is no fault, and worth knowing."""


@dataclass(frozen=True)
class _Check:
    """One file to read again; ``keys`` says what is wrong with its keys, in order of rows."""

    what: str
    record: ShardRecord
    columns: Mapping[str, str]
    keys: Keys


@dataclass
class _Found:
    files: dict[str, int] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def add(self, check: _Check, wrong: list[str]) -> None:
        self.files[check.what] = self.files.get(check.what, 0) + 1
        self.rows[check.what] = self.rows.get(check.what, 0) + check.record.rows
        self.faults += [Fault(path=check.record.path, what=what) for what in wrong]
        del self.faults[_MOST_FAULTS:]


def verify(config: VerifyConfig) -> VerifyReport:
    """Read an archive's utterances, features and labels again, or those of them that are asked for.

    Raises:
        WorkflowError: no such archive.
    """
    workspace = Workspace(config.workspace)
    archive = read_archive(workspace, config.archive)
    notes: list[str] = []
    checks = {
        "utterances": partial(_utterances, archive),
        "features": partial(_features, workspace, config.archive, archive, notes),
        "labels": partial(_labels, workspace, config.archive, archive, notes),
    }
    found = _Found()
    with ThreadPoolExecutor(_THREADS) as pool:
        for part in config.parts:
            planned = list(checks[part]())
            for check, wrong in zip(planned, pool.map(partial(_wrong, workspace), planned), strict=True):
                found.add(check, wrong)
            log.info("verify: %s: %d files, %d faults so far", part, len(planned), len(found.faults))
    return VerifyReport(files=found.files, rows=found.rows, faults=tuple(found.faults), notes=tuple(notes))


def _utterances(archive: Manifest) -> Iterator[_Check]:
    count = len(archive.shards)
    for record in archive.shards:
        yield _Check("utterances", record, archive.columns, partial(_placed, record.index, count))


def _features(workspace: Workspace, name: str, archive: Manifest, notes: list[str]) -> Iterator[_Check]:
    by_index = {record.index: record for record in archive.shards}
    for path in workspace.files(archive_features_folder(name)):
        place = features_place(path)
        if place is None or path != manifest_path(features_folder(*place)):
            continue
        if (manifest := read_manifest(workspace, path)) is None:
            continue
        current = manifest.is_of(archive)
        if not current:
            notes.append(f"{features_folder(*place)} was made of the archive as it was before: sdt extract {name}")
        for record in manifest.shards:
            keys = partial(_same, workspace, by_index[record.index]) if current else _unique
            yield _Check("features", record, manifest.columns, keys)


def _labels(workspace: Workspace, name: str, archive: Manifest, notes: list[str]) -> Iterator[_Check]:
    by_index = {record.index: record for record in archive.shards}
    labelled, said = labelled_days(workspace, name, label_files(workspace, name)), days_of(archive.shards)
    notes += [f"{day} has no labels: sdt label {name}" for day in sorted(said.keys() - labelled.keys())]
    checks = []
    keys = _DayKeys(workspace)
    for day, manifest in sorted(labelled.items()):
        rows = said.get(day, DayContent()).rows
        if rows != manifest.rows:
            notes.append(
                f"{day_manifest(name, day)}: {manifest.rows} labels and {rows} utterances: label the day again"
            )
        for record in manifest.shards:
            number = shard_of_labels(record.path)
            source = by_index.get(number)
            compared = partial(keys.compared, source, day) if source and rows == manifest.rows else _unique
            checks.append((number, _Check("labels", record, manifest.columns, compared)))
    # The days of one utterance shard one after another, so that it is read once for all.
    yield from (check for _, check in sorted(checks, key=lambda numbered: numbered[0]))


def _wrong(workspace: Workspace, check: _Check) -> list[str]:
    """What is wrong with a file; empty where nothing is."""
    expected = check.record
    try:
        found = describe_shard(workspace, Shard[None](expected.index, expected.path))
        columns = shard_columns(workspace, expected.path)
        keys = pl.DataFrame(pl.from_arrow(workspace.read_table(expected.path, list(KEY))))
    except FileNotFoundError:
        return ["it is not there"]
    except _UNREADABLE as error:
        return [f"it cannot be read: {error}"]
    wrong = [
        f"{name} {now}, and {then} in the manifest"
        for name, now, then in (
            ("its size is", found.bytes, expected.bytes),
            ("sha256 is", found.sha256, expected.sha256),
            ("the number of rows is", found.rows, expected.rows),
            ("the columns are", columns, dict(check.columns)),
        )
        if now != then
    ]
    return wrong + check.keys(keys)


def _unique(keys: pl.DataFrame) -> list[str]:
    twice = keys.filter(keys.is_duplicated()).unique(maintain_order=True)
    return [f"{twice.height} keys stand twice, such as {_named(twice)}"] if twice.height else []


def _placed(index: int, count: int, keys: pl.DataFrame) -> list[str]:
    """A conversation is in the shard that its id says, so that no key stands in two."""
    elsewhere = [name for name in keys["conversation_id"].unique().sort() if shard_of(name, count) != index]
    return _unique(keys) + (
        [f"{len(elsewhere)} conversations belong to another shard, such as {elsewhere[0]!r}"] if elsewhere else []
    )


def _same(workspace: Workspace, utterances: ShardRecord, keys: pl.DataFrame) -> list[str]:
    return _compared(keys, _rows(workspace, utterances, list(KEY)), utterances.path)


class _DayKeys:
    """The keys of each day of the utterance shards that were read last."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace, self._lock = workspace, Lock()
        self._held: dict[str, dict[str, pl.DataFrame] | None] = {}

    def compared(self, utterances: ShardRecord, day: str, keys: pl.DataFrame) -> list[str]:
        days = self._days(utterances)
        return _compared(keys, None if days is None else days.get(day, keys.clear()), utterances.path)

    def _days(self, utterances: ShardRecord) -> dict[str, pl.DataFrame] | None:
        with self._lock:  # the others wait for what one of them reads
            if utterances.path not in self._held:
                for path in list(self._held)[:-1]:  # the threads are at two shards at most
                    del self._held[path]
                self._held[utterances.path] = self._read(utterances)
            return self._held[utterances.path]

    def _read(self, utterances: ShardRecord) -> dict[str, pl.DataFrame] | None:
        rows = _rows(self._workspace, utterances, [*KEY, "occurred_at"])
        if rows is None:
            return None
        by_day = rows.select(*KEY, conversation_days(rows).alias("day")).partition_by(
            "day", as_dict=True, include_key=False
        )
        return {str(day): part for (day,), part in by_day.items()}


def _rows(workspace: Workspace, utterances: ShardRecord, columns: list[str]) -> pl.DataFrame | None:
    """None where the file is damaged, which its own check says."""
    try:
        rows = pl.DataFrame(pl.from_arrow(workspace.read_table(utterances.path, columns)))
    except _UNREADABLE:
        return None
    return rows if rows.columns == columns else None


def _compared(keys: pl.DataFrame, utterances: pl.DataFrame | None, path: str) -> list[str]:
    if utterances is None:
        return [*_unique(keys), f"it could not be compared with {path}"]
    lost = utterances.join(keys, on=KEY, how="anti", maintain_order="left")
    strange = keys.join(utterances, on=KEY, how="anti", maintain_order="left")
    return [
        *_unique(keys),
        *([f"{lost.height} utterances have no row, such as {_named(lost)}"] if lost.height else []),
        *([f"{strange.height} rows are of no utterance, such as {_named(strange)}"] if strange.height else []),
    ]


def _named(keys: pl.DataFrame) -> str:
    name, turn = keys.select(KEY).row(0)
    return f"{name!r} turn {turn}"
