"""Verification of an archive: its files are read again and compared with their manifests.

Every file that a manifest names exists and has its size, hash, columns and rows; keys are unique; features and labels
have one row for every utterance, and no other. Models and encoders are compared with their hashes. Memory holds one
file a thread.
"""

import logging
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

import polars as pl

from sdt_model.bundle import DESCRIPTION
from sdt_model.config import Frozen
from tasks.archive.days import days_of
from tasks.archive.facts import DayContent
from tasks.archive.layout import (
    ENCODERS,
    MODELS,
    archive_features_folder,
    day_manifest,
    features_folder,
    features_place,
    label_leases,
    manifest_path,
    shard_of_labels,
)
from tasks.archive.manifests import read_archive
from tasks.archive.schema import KEY
from tasks.config.stages import VerifyConfig
from tasks.errors import DamagedFile
from tasks.executor.shard import Shard, describe_shard, shard_columns
from tasks.label.manifests import DayFiles, label_files, labelled_days
from tasks.maintenance.prune import TEMPORARY_S
from tasks.maintenance.verify_keys import UNREADABLE, DayKeys, KeyCheck, placed_keys, same_keys, unique_keys
from tasks.maintenance.verify_sums import HashedFiles, compare_sums
from tasks.registry.encoders import DESCRIPTION as ENCODER_DESCRIPTION
from tasks.storage.manifest import Manifest, ShardRecord, read_manifest
from tasks.storage.workspace import Workspace

log = logging.getLogger("sdt.verify")

_THREADS = 4
_MOST_FAULTS = 1000


class Fault(Frozen):
    """A file that does not match its manifest."""

    path: str
    """The file, relative to the workspace."""
    what: str
    """The difference, in words."""


class VerifyReport(Frozen):
    """Result of a verification."""

    files: dict[str, int]
    """Number of files read, by part: utterances, features, labels, models, encoders."""
    rows: dict[str, int]
    """Number of their rows, by part."""
    faults: tuple[Fault, ...]
    """The first thousand at most."""
    notes: tuple[str, ...]
    """Findings that are no faults, such as days without labels."""


@dataclass(frozen=True)
class _Check:
    """One file to read again.

    Attributes:
        part: the part of the archive: utterances, features or labels.
        columns: of the file, by its manifest.
        keys: from the keys (conversation, turn) of its rows to what is wrong with them.
    """

    part: str
    record: ShardRecord
    columns: Mapping[str, str]
    keys: KeyCheck


@dataclass
class _Tally:
    """Running totals of a `VerifyReport`."""

    files: dict[str, int] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def manifest(self, workspace: Workspace, path: str) -> Manifest | None:
        """Read a manifest; a damaged one is a fault."""
        try:
            return read_manifest(workspace, path)
        except DamagedFile as error:
            self.faults.append(Fault(path=path, what=error.reason))
            return None

    def add_hashed(self, part: str, hashed: HashedFiles) -> None:
        """Add files that are compared with their hashes alone."""
        if hashed.files:
            self.files[part] = hashed.files
        self.faults += [Fault(path=path, what=what) for path, what in hashed.wrong.items()]
        self.notes += [f"{name} was written without hashes, and is not compared" for name in hashed.without]

    def add(self, check: _Check, wrong: list[str]) -> None:
        self.files[check.part] = self.files.get(check.part, 0) + 1
        self.rows[check.part] = self.rows.get(check.part, 0) + check.record.rows
        self.faults += [Fault(path=check.record.path, what=what) for what in wrong]
        del self.faults[_MOST_FAULTS:]


def verify(config: VerifyConfig) -> VerifyReport:
    """Read the configured parts of an archive again and compare them with their manifests.

    Raises:
        WorkflowError: there is no such archive.
    """
    workspace = Workspace(config.workspace)
    archive = read_archive(workspace, config.archive)
    tally = _Tally(notes=_temporary(workspace))
    checks = {
        "utterances": partial(_utterances, archive),
        "features": partial(_features, workspace, config.archive, archive, tally),
        "labels": partial(_labels, workspace, config.archive, archive, tally),
    }
    hashed = {
        "models": partial(compare_sums, workspace, MODELS, DESCRIPTION),
        "encoders": partial(compare_sums, workspace, ENCODERS, ENCODER_DESCRIPTION),
    }
    with ThreadPoolExecutor(_THREADS) as pool:
        for part in config.parts:
            if part in hashed:
                tally.add_hashed(part, hashed[part]())
                continue
            planned = list(checks[part]())
            for check, wrong in zip(planned, pool.map(partial(_wrong, workspace), planned), strict=True):
                tally.add(check, wrong)
            log.info("verify: %s: %d files, %d faults so far", part, len(planned), len(tally.faults))
    return VerifyReport(files=tally.files, rows=tally.rows, faults=tuple(tally.faults), notes=tuple(tally.notes))


def _utterances(archive: Manifest) -> Iterator[_Check]:
    count = len(archive.shards)
    for record in archive.shards:
        yield _Check("utterances", record, archive.columns, partial(placed_keys, record.index, count))


def _temporary(workspace: Workspace) -> list[str]:
    left = [path for path, age in workspace.temporary().items() if age > TEMPORARY_S]
    return [f"{len(left)} temporary files of killed processes, such as {left[0]}: sdt prune"] if left else []


def _features(workspace: Workspace, name: str, archive: Manifest, tally: _Tally) -> Iterator[_Check]:
    by_index = {record.index: record for record in archive.shards}
    for path in workspace.files(archive_features_folder(name)):
        place = features_place(path)
        if place is None or path != manifest_path(features_folder(*place)):
            continue
        if (manifest := tally.manifest(workspace, path)) is None:
            continue
        current = manifest.is_of(archive)
        if not current:
            folder = features_folder(*place)
            tally.notes.append(f"{folder} was made of the archive as it was before: sdt extract {name}")
        for record in manifest.shards:
            keys = partial(same_keys, workspace, by_index[record.index]) if current else unique_keys
            yield _Check("features", record, manifest.columns, keys)


def _labels(workspace: Workspace, name: str, archive: Manifest, tally: _Tally) -> Iterator[_Check]:
    by_index = {record.index: record for record in archive.shards}
    days, files, notes = days_of(archive.shards), label_files(workspace, name), tally.notes
    labelled = labelled_days(workspace, name, files, tally.manifest)
    _unnamed(workspace, name, files, labelled, tally)
    notes += [f"{day} has no labels: sdt label {name}" for day in sorted(days.keys() - labelled.keys())]
    checks = []
    keys = DayKeys(workspace)
    for day, manifest in sorted(labelled.items()):
        rows = days.get(day, DayContent()).rows
        if rows != manifest.rows:
            notes.append(
                f"{day_manifest(name, day)}: {manifest.rows} labels and {rows} utterances: label the day again"
            )
        for record in manifest.shards:
            number = shard_of_labels(record.path)
            source = by_index.get(number)
            compared = partial(keys.compared, source, day) if source and rows == manifest.rows else unique_keys
            checks.append((number, _Check("labels", record, manifest.columns, compared)))
    # The days of one utterance shard one after another, so that it is read once for all.
    yield from (check for _, check in sorted(checks, key=lambda numbered: numbered[0]))


def _unnamed(workspace: Workspace, name: str, files: DayFiles, labelled: Mapping[str, Manifest], tally: _Tally) -> None:
    """Files in the days' folders that no manifest names: whoever reads the folders as they are reads them, too."""
    named = {shard.path for manifest in labelled.values() for shard in manifest.shards}
    named |= {day_manifest(name, day) for day in files}
    unnamed = sorted({path for paths in files.values() for path in paths} - named)
    if unnamed and workspace.files(label_leases(name)):
        tally.notes.append(f"{len(unnamed)} files of labels are not of a manifest yet: a run labels {name}")
        return
    tally.faults += [Fault(path=path, what=f"no manifest names it: sdt label {name}, or sdt prune") for path in unnamed]


def _wrong(workspace: Workspace, check: _Check) -> list[str]:
    """Read a file again and list what is wrong with it, in words."""
    expected = check.record
    try:
        actual = describe_shard(workspace, Shard[None](expected.index, expected.path))
        columns = shard_columns(workspace, expected.path)
        keys = pl.DataFrame(pl.from_arrow(workspace.read_table(expected.path, list(KEY))))
    except FileNotFoundError:
        return ["it is not there"]
    except UNREADABLE as error:
        return [f"it cannot be read: {error.reason if isinstance(error, DamagedFile) else error}"]
    wrong = [
        f"{name} {now}, and {recorded} in the manifest"
        for name, now, recorded in (
            ("its size is", actual.bytes, expected.bytes),
            ("sha256 is", actual.sha256, expected.sha256),
            ("the number of rows is", actual.rows, expected.rows),
            ("the columns are", columns, dict(check.columns)),
        )
        if now != recorded
    ]
    return wrong + check.keys(keys)
