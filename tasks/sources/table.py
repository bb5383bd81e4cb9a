"""Tables with the canonical columns, or with others that stand for them: CSV, JSON Lines or Parquet."""

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
    """A file or a folder of them, each read by its ending; columns that nothing asks for are passed over."""

    columns: Mapping[Column, str]
    """Which of the table's columns a canonical one is; one that is not named here keeps its name."""

    def files(self, path: str, media_root: str | None) -> list[SourceFile]:  # noqa: ARG002
        return find_files(path, (".csv", ".jsonl", ".ndjson", ".parquet"), EXPECTED)

    def batches(self, file: SourceFile, media_root: str | None) -> Iterator[pl.DataFrame]:  # noqa: ARG002
        ending = file.name.lower().rsplit(".", 1)[-1]
        read = {"csv": self._csv, "parquet": self._parquet}.get(ending, self._json_lines)
        return read(file)

    @property
    def _names(self) -> dict[str, str]:
        """The table's name of every canonical column."""
        return {name: name for name in CANONICAL} | {str(name): own for name, own in self.columns.items()}

    @property
    def _required(self) -> tuple[str, ...]:
        """The table's names of the columns that it must have: the key, and what is said to be there."""
        return tuple(dict.fromkeys([*(self._names[name] for name in KEY), *self.columns.values()]))

    def _csv(self, file: SourceFile) -> Iterator[pl.DataFrame]:
        for values, about in csv_batches(file, self._required):
            there = [
                (pl.col(own) if own in values.columns else pl.lit(None, pl.String)).alias(name)
                for name, own in self._names.items()
            ]
            yield values.select(there).hstack(about)

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
            found = parquet.schema_arrow.names
            missing = [name for name in self._required if name not in found]
            if missing:
                raise WorkflowError(
                    f"{file.url}: lacks {', '.join(missing)}\n  found: {', '.join(found)}\n  expected: {EXPECTED}"
                )
            there = {name: own for name, own in self._names.items() if own in found}
            first = 1
            for batch in parquet.iter_batches(BATCH_ROWS, columns=sorted(set(there.values()))):
                yield _arrow_rows(pa.table({name: batch.column(own) for name, own in there.items()}), first)
                first += batch.num_rows


def _json_row(file: SourceFile, row: int, line: bytes, names: Mapping[str, str], missing: set[str]) -> dict[str, Any]:
    """A line's row; the columns that it has are taken out of ``missing``."""
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
    """The column as text, or None where its type has no place in an utterance."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _as_text(column.cast(kind.value_type))
    scalar = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_integer,
              pa.types.is_floating, pa.types.is_timestamp, pa.types.is_date, pa.types.is_null)  # fmt: skip
    return column.cast(pa.string()) if any(test(kind) for test in scalar) else None
