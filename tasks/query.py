"""Polars SQL over labels, utterances and rejected rows, read lazily.

A query reads only files that a manifest names, and of those only the columns and days that it asks for.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pyarrow as pa

from tasks.archive.facts import LabelFacts
from tasks.archive.layout import (
    ARCHIVES,
    LABELS,
    archive_manifest_path,
    archive_of_manifest,
    day_of,
    day_of_manifest,
    labels_folder,
    rejected_path,
)
from tasks.archive.repair import finished_manifest
from tasks.archive.scan import scan_files
from tasks.archive.schema import REJECTED, UTTERANCES, labels_schema
from tasks.config.date_range import UNDATED
from tasks.errors import WorkflowError
from tasks.storage.manifest import Manifest
from tasks.storage.workspace import Workspace, checked_name

OUTPUTS = (".csv", ".json", ".ndjson", ".parquet")
_FILE_READER = re.compile(r"(read|scan)_(csv|parquet|ipc|ndjson|json|avro|delta|iceberg|excel|lines)", re.IGNORECASE)
_COMMANDS = {"labels": "sdt label ARCHIVE", "utterances": "sdt ingest KIND PATH --archive NAME"}


def scan_labels(workspace: Workspace, archive: str | None = None) -> pl.LazyFrame:
    """Scan label rows of one archive or of all, with ``archive`` and ``date`` (null: undated) in front.

    Archives may differ in their emotions: ``probabilities`` then has all of them, null where an archive lacks one.

    Raises:
        WorkflowError: there are no labels.
    """
    groups: dict[tuple[str, tuple[str, ...]], list[str]] = defaultdict(list)
    for name, manifest in _label_manifests(workspace, archive):
        emotions = LabelFacts.of(manifest).emotions
        groups[name, emotions].extend(shard.path for shard in manifest.shards)
    parts = [
        _scan(workspace, paths, labels_schema(emotions), name, dated=True)
        for (name, emotions), paths in groups.items()
        if paths
    ]
    return _concatenated(parts, "labels", workspace, archive)


def scan_utterances(workspace: Workspace, archive: str | None = None) -> pl.LazyFrame:
    """Scan utterances of one archive or of all, with ``archive`` in front.

    Raises:
        WorkflowError: there are no archives.
    """
    parts = [
        _scan(workspace, [shard.path for shard in manifest.shards], UTTERANCES, name)
        for name, manifest in _archive_manifests(workspace, archive)
    ]
    return _concatenated(parts, "utterances", workspace, archive)


def scan_rejected(workspace: Workspace, archive: str | None = None) -> pl.LazyFrame:
    """Scan rows that ingest rejected, of one archive or of all, with ``archive`` in front; there may be none."""
    parts = [_empty(REJECTED)]
    for name, manifest in _archive_manifests(workspace, archive):
        parts.extend(_rejected(workspace, name, manifest))
    return pl.concat(parts)


def _rejected(workspace: Workspace, name: str, manifest: Manifest) -> list[pl.LazyFrame]:
    paths = [rejected_path(name, shard.path) for shard in manifest.shards if shard.counts.get("rejected")]
    return [_scan(workspace, paths, REJECTED, name)] if paths else []


DUPLICATE = "duplicate"  # the kind of reason of a row whose key an earlier one has


def rejection_reasons(workspace: Workspace, archive: str, manifest: Manifest | None = None) -> dict[str, int]:
    """Count rejected rows by kind of reason, without the values in them; most frequent first.

    Args:
        workspace: where the archive is.
        archive: its name.
        manifest: of an archive that is not the current one of that name, or not yet.
    """
    kind = pl.col("reason").str.replace("(?s)'.*'", "…").str.replace("(?s)^duplicate of .*", DUPLICATE)
    rejected = _rejected(workspace, archive, manifest) if manifest else [scan_rejected(workspace, archive)]
    rows = pl.concat([_empty(REJECTED), *rejected])
    counted = rows.group_by(kind).len().sort("len", "reason", descending=[True, False])
    return dict(counted.collect().iter_rows())


def run_query(workspace: Workspace, sql: str, archive: str | None = None, files: bool = False) -> pl.LazyFrame:
    """Plan one SQL statement over ``labels``, ``utterances`` and ``rejected``; the result is not yet computed.

    Args:
        workspace: whose tables are read.
        sql: the statement.
        archive: of which the tables are; None: of all.
        files: whether it may also read files that it names, with this user's rights.

    Raises:
        WorkflowError: the SQL is wrong, or there is nothing to query; the message lists tables and columns.
    """
    # Polars knows no switch for them, and no other way to write their names. A text that has one is refused as well.
    if not files and (reader := _FILE_READER.search(sql)):
        raise WorkflowError(
            f"the query reads a file ({reader[0]}): only labels, utterances and rejected are tables here\n"
            "  let it read any file that you may read with: sdt query --allow-files"
        )
    tables: dict[str, pl.LazyFrame] = {}
    missing: list[str] = []
    for name, scan in (("labels", scan_labels), ("utterances", scan_utterances), ("rejected", scan_rejected)):
        try:
            tables[name] = scan(workspace, archive)
        except WorkflowError as error:
            missing.append(str(error))
    if "utterances" not in tables:
        raise WorkflowError(missing[-1])
    with _explained(tables, missing):
        result = pl.SQLContext(frames=tables, eager=False).execute(sql, eager=False)
        result.collect_schema()
    return result


def write_result(result: pl.LazyFrame, out: Path) -> None:
    """Write CSV, JSON (one array, or one object a line for .ndjson) or Parquet, by the name's ending, in one step.

    In CSV a struct becomes a column for each of its fields, and a list its values joined by ``|``.

    Raises:
        WorkflowError: the ending is another one, or the folder does not exist.
    """
    if out.suffix not in OUTPUTS:
        raise WorkflowError(f"{out}: results are written as {', '.join(OUTPUTS)}; give the file one of these endings")
    if not out.parent.is_dir():
        raise WorkflowError(f"{out.parent} is not a folder: make it first, or write elsewhere")
    with Workspace(str(out.parent.absolute())).publish(out.name) as temporary:
        if out.suffix == ".csv":
            _flat(result).sink_csv(temporary)
        elif out.suffix == ".parquet":
            result.sink_parquet(temporary)
        else:
            result.sink_ndjson(temporary)
            if out.suffix == ".json":
                _lines_to_array(temporary)


def _archive_manifests(workspace: Workspace, archive: str | None) -> Iterator[tuple[str, Manifest]]:
    """The manifest of one archive or of each, with the archive's name."""
    paths = [archive_manifest_path(archive)] if archive is not None else workspace.files(ARCHIVES)
    return _manifests(workspace, ((name, path) for path in paths if (name := archive_of_manifest(path)) is not None))


def _label_manifests(workspace: Workspace, archive: str | None) -> Iterator[tuple[str, Manifest]]:
    """The manifest of every labelled day of one archive or of all, with the archive's name."""
    paths = workspace.files(labels_folder(checked_name(archive, "archive")) if archive is not None else LABELS)
    days = ((day_of_manifest(path), path) for path in paths)
    return _manifests(workspace, ((place.archive, path) for place, path in days if place is not None))


def _manifests(workspace: Workspace, paths: Iterable[tuple[str, str]]) -> Iterator[tuple[str, Manifest]]:
    """Read manifests, given as (archive, path); one that has gone since it was listed is left out."""
    named = list(paths)
    with ThreadPoolExecutor(8) as pool:
        manifests = list(pool.map(lambda pair: finished_manifest(workspace, pair[1]), named))
    return ((name, manifest) for (name, _), manifest in zip(named, manifests, strict=True) if manifest is not None)


def _scan(workspace: Workspace, paths: list[str], schema: pa.Schema, archive: str, dated: bool = False) -> pl.LazyFrame:
    """Scan shards with a known schema: planning opens none of them, and a filter by date opens only that date's."""
    values = pl.DataFrame({"archive": [archive] * len(paths)}, {"archive": pl.String()})
    if dated:
        days = (place.day if (place := day_of(path)) else UNDATED for path in paths)
        values = values.with_columns(
            date=pl.Series([None if day == UNDATED else day for day in days], dtype=pl.String()).str.to_date()
        )
    return scan_files(workspace, paths, schema, values)


def _empty(schema: pa.Schema) -> pl.LazyFrame:
    return pl.LazyFrame(schema={"archive": pl.String(), **pl.Schema(schema)})


def _concatenated(parts: list[pl.LazyFrame], table: str, workspace: Workspace, archive: str | None) -> pl.LazyFrame:
    if not parts:
        of = f" of archive {archive!r}" if archive else ""
        raise WorkflowError(f"there are no {table}{of} in {workspace.url}\n  make them with: {_COMMANDS[table]}")
    return pl.concat(parts, how="vertical_relaxed")  # a struct gets the fields of all


@contextmanager
def _explained(tables: dict[str, pl.LazyFrame], missing: list[str]) -> Iterator[None]:
    """Shorten an error of Polars to its first line, and add the tables and columns that can be queried."""
    try:
        yield
    except pl.exceptions.PolarsError as error:
        reason = str(error).split("\n", 1)[0]
        columns = [f"  {name}: {', '.join(rows.collect_schema().names())}" for name, rows in tables.items()]
        kind = type(error).__name__
        raise WorkflowError("\n".join([f"the query cannot be run: {reason} ({kind})", *columns, *missing])) from error


def _flat(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Replace structs by their fields, however deep, and then lists by their values as text."""
    while any(isinstance(kind, pl.Struct) for kind in rows.collect_schema().dtypes()):
        rows = rows.select(part for name, kind in rows.collect_schema().items() for part in _fields(name, kind))
    lists = [name for name, kind in rows.collect_schema().items() if isinstance(kind, pl.List)]
    return rows.with_columns(pl.col(lists).cast(pl.List(pl.String)).list.join("|", ignore_nulls=True))


def _fields(name: str, kind: pl.DataType) -> list[pl.Expr]:
    if not isinstance(kind, pl.Struct):
        return [pl.col(name)]
    return [pl.col(name).struct.field(field.name).alias(f"{name}.{field.name}") for field in kind.fields]


def _lines_to_array(path: Path) -> None:
    """Put the objects of a file, one a line, into one JSON array."""
    array = path.with_name(f"{path.name}.array")
    try:
        with path.open() as lines, array.open("w") as out:
            opening = "["
            for line in lines:
                out.write(f"{opening}\n{line.rstrip()}")
                opening = ","
            out.write("\n]\n" if opening == "," else "[]\n")
        array.replace(path)
    finally:
        array.unlink(missing_ok=True)
