"""Tables as CSV, JSON Lines or Parquet, with the canonical columns or with others mapped to them."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.archive.schema import KEY
from tasks.config.stages import Column
from tasks.errors import WorkflowError
from tasks.sources.base import BATCH_ROWS, CANONICAL, ROW, SourceFile, find_files, is_unicode
from tasks.sources.delimited import csv_batches
from tasks.storage.filesystem import arrow_filesystem

EXPECTED = f"CSV, JSONL or Parquet with the columns {', '.join(KEY)} and any of {', '.join(CANONICAL[2:])}"


@dataclass(frozen=True)
class Table:
    """Reader of a table or a folder of them, each by its ending; columns that are not used are ignored.

    Attributes:
        columns: from a canonical column to the table's; those that are absent keep their names.
    """

    columns: Mapping[Column, str]

    def files(self, path: str, media_root: str | None) -> list[SourceFile]:  # noqa: ARG002
        return find_files(path, (".csv", ".jsonl", ".ndjson", ".parquet"), EXPECTED)

    def batches(self, file: SourceFile, media_root: str | None) -> Iterator[pl.DataFrame]:  # noqa: ARG002
        ending = file.name.lower().rsplit(".", 1)[-1]
        read = {"csv": self._csv, "parquet": self._parquet}.get(ending, self._json_lines)
        return read(file)

    @property
    def _names(self) -> dict[str, str]:
        """From every canonical column to the table's."""
        return {name: name for name in CANONICAL} | {str(name): own for name, own in self.columns.items()}

    @property
    def _required(self) -> tuple[str, ...]:
        """The columns that the table must have: its key, and all that `columns` names."""
        return tuple(dict.fromkeys([*(self._names[name] for name in KEY), *self.columns.values()]))

    def _csv(self, file: SourceFile) -> Iterator[pl.DataFrame]:
        for values, notes in csv_batches(file, self._required):
            canonical = [
                (pl.col(own) if own in values.columns else pl.lit(None, pl.String)).alias(name)
                for name, own in self._names.items()
            ]
            yield values.select(canonical).hstack(notes)

    def _json_lines(self, file: SourceFile) -> Iterator[pl.DataFrame]:
        fs, path = file.filesystem
        names, missing, rows = self._names, set(self.columns.values()), 0
        with fs.open(path, "rb") as lines:
            numbered = ((row, line) for row, line in enumerate(lines, start=1) if line.strip())
            while batch := [_json_row(file, row, line, names, missing) for row, line in islice(numbered, BATCH_ROWS)]:
                rows += len(batch)
                yield pl.DataFrame(batch, schema=ROW, orient="row")
        if rows and missing:
            raise WorkflowError(
                f"{file.url}: no row has {', '.join(sorted(missing))}\n  `columns` says that the table has it"
            )

    def _parquet(self, file: SourceFile) -> Iterator[pl.DataFrame]:
        fs, path = file.filesystem
        try:
            parquet = pq.ParquetFile(path, filesystem=arrow_filesystem(fs))
        except pa.ArrowInvalid as error:
            raise WorkflowError(f"{file.url}: not a whole Parquet file: {error}\n  expected: {EXPECTED}") from error
        with parquet:
            columns = parquet.schema_arrow.names
            missing = [name for name in self._required if name not in columns]
            if missing:
                raise WorkflowError(
                    f"{file.url}: lacks {', '.join(missing)}\n  found: {', '.join(columns)}\n  expected: {EXPECTED}"
                )
            present = {name: own for name, own in self._names.items() if own in columns}
            first = 1
            for batch in parquet.iter_batches(BATCH_ROWS, columns=sorted(set(present.values()))):
                yield _arrow_rows(pa.table({name: batch.column(own) for name, own in present.items()}), first)
                first += batch.num_rows


def _json_row(file: SourceFile, row: int, line: bytes, names: Mapping[str, str], missing: set[str]) -> dict[str, Any]:
    """Read a line as a row of `ROW`; the columns that it has are removed from ``missing``.

    Args:
        row: the line's number, from 1.
        names: from a canonical column to the table's.
        missing: columns that no line has had so far.
    """
    try:
        record = json.loads(line)
        problem = None if isinstance(record, dict) else f"is a JSON {type(record).__name__}, not an object"
    except (ValueError, RecursionError) as error:  # malformed JSON, not UTF-8, or nested without end
        record, problem = None, f"is not JSON: {error}"
    if problem is not None and row == 1:
        raise WorkflowError(f"{file.url}: line 1 {problem}\n  expected: one JSON object a line")
    values: dict[str, Any] = dict.fromkeys(CANONICAL)
    if problem is None:
        missing.difference_update(record)
        values = {name: record.get(own) for name, own in names.items()}
        odd = [f"{names[n]} holds a {type(v).__name__}" for n, v in values.items() if isinstance(v, list | dict)]
        problem = f"column {', '.join(odd)}" if odd else _unwritable(values)
    if problem is not None:
        return {
            **dict.fromkeys(CANONICAL),
            "row": row,
            "problem": problem,
            "content": ascii(line.rstrip(b"\r\n"))[2:-1],
        }
    texts = {n: v if v is None or isinstance(v, str) else json.dumps(v) for n, v in values.items()}
    return {**texts, "row": row, "problem": None, "content": None}


def _unwritable(values: dict[str, Any]) -> str | None:
    r"""JSON can spell half a surrogate pair (\ud800)."""
    texts = "".join(value for value in values.values() if isinstance(value, str))
    return None if is_unicode(texts) else "is not valid Unicode"


def _arrow_rows(table: pa.Table, first: int) -> pl.DataFrame:
    """Turn canonical columns of any type into rows of `ROW`; a column of an unusable type is a problem of its rows."""
    texts, odd = {}, []
    for name in table.column_names:
        column = table.column(name)
        texts[name] = _as_text(column)
        if texts[name] is None:
            texts[name] = pa.nulls(len(column), pa.string())
            odd.append(
                pl.when(pl.Series(pc.is_valid(column).to_numpy())).then(pl.lit(f"column {name} has type {column.type}"))
            )
    frame = pl.DataFrame(pl.from_arrow(pa.table(texts)))
    problem = (
        pl.concat_str(odd, separator=", ", ignore_nulls=True).replace("", None) if odd else pl.lit(None, pl.String)
    )
    absent = [pl.lit(None, pl.String).alias(name) for name in CANONICAL if name not in frame.columns]
    frame = frame.with_columns(*absent, row=pl.int_range(first, first + len(frame), dtype=pl.Int64), problem=problem)
    as_read = pl.when(pl.col("problem").is_not_null()).then(pl.struct(*CANONICAL).struct.json_encode())
    return frame.with_columns(content=as_read).select(*ROW)


def _as_text(column: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Cast a column to text; None where its type has no place in an utterance."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _as_text(column.cast(kind.value_type))
    scalar = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_integer,
              pa.types.is_floating, pa.types.is_timestamp, pa.types.is_date, pa.types.is_null)  # fmt: skip
    return column.cast(pa.string()) if any(test(kind) for test in scalar) else None
