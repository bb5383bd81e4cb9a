"""Tables with the canonical columns: CSV, JSON Lines or Parquet, a file or a folder of them."""

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.errors import WorkflowError
from tasks.schema import KEY, UTTERANCES
from tasks.sources import BATCH_ROWS, SourceFile, find_files
from tasks.sources.delimited import csv_batches

CANONICAL = tuple(UTTERANCES.names)
EXPECTED = f"CSV, JSONL or Parquet with the columns {', '.join(KEY)} and any of {', '.join(CANONICAL[2:])}"
_ROW = {**dict.fromkeys(CANONICAL, pl.String), "row": pl.Int64, "problem": pl.String, "content": pl.String}


class Table:
    """CSV, JSON Lines or Parquet by the file's ending; other columns than the canonical ones are passed over."""

    def files(self, path: str) -> list[SourceFile]:
        return find_files(path, (".csv", ".jsonl", ".ndjson", ".parquet"), EXPECTED)

    def batches(self, file: SourceFile, media_root: str | None) -> Iterator[pl.DataFrame]:  # noqa: ARG002
        ending = file.name.lower().rsplit(".", 1)[-1]
        read = {"csv": _csv, "parquet": _parquet}.get(ending, _json_lines)
        return read(file)


def _csv(file: SourceFile) -> Iterator[pl.DataFrame]:
    for batch in csv_batches(file, KEY):
        absent = [pl.lit(None, pl.String).alias(name) for name in CANONICAL if name not in batch.columns]
        yield batch.with_columns(absent).select(*_ROW)


def _json_lines(file: SourceFile) -> Iterator[pl.DataFrame]:
    fs, path = file.filesystem
    with fs.open(path, "rb") as lines:
        numbered = ((row, line) for row, line in enumerate(lines, start=1) if line.strip())
        while batch := [_json_row(file, row, line) for row, line in islice(numbered, BATCH_ROWS)]:
            yield pl.DataFrame(batch, schema=_ROW, orient="row")


def _json_row(file: SourceFile, row: int, line: bytes) -> dict[str, Any]:
    try:
        record = json.loads(line)
        problem = None if isinstance(record, dict) else f"is a JSON {type(record).__name__}, not an object"
    except ValueError as error:  # malformed JSON, or not UTF-8
        record, problem = None, f"is not JSON: {error}"
    if problem is not None and row == 1:
        raise WorkflowError(f"{file.url}: line 1 {problem}\n  expected: one JSON object a line")
    values: dict[str, Any] = dict.fromkeys(CANONICAL)
    if problem is None:
        values = {name: record.get(name) for name in CANONICAL}
        odd = [f"{name} holds a {type(v).__name__}" for name, v in values.items() if isinstance(v, list | dict)]
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
    r"""JSON can spell half a surrogate pair (\ud800), which is no text."""
    try:
        "".join(value for value in values.values() if isinstance(value, str)).encode()
    except UnicodeEncodeError:
        return "is not valid Unicode"
    return None


def _parquet(file: SourceFile) -> Iterator[pl.DataFrame]:
    fs, path = file.filesystem
    try:
        parquet = pq.ParquetFile(path, filesystem=fs)
    except pa.ArrowInvalid as error:
        raise WorkflowError(f"{file.url}: not a whole Parquet file: {error}\n  expected: {EXPECTED}") from error
    with parquet:
        names = parquet.schema_arrow.names
        missing = [name for name in KEY if name not in names]
        if missing:
            raise WorkflowError(
                f"{file.url}: lacks {', '.join(missing)}\n  found: {', '.join(names)}\n  expected: {EXPECTED}"
            )
        first = 1
        for batch in parquet.iter_batches(BATCH_ROWS, columns=[name for name in CANONICAL if name in names]):
            yield _arrow_rows(pa.Table.from_batches([batch]), first)
            first += batch.num_rows


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
    return frame.with_columns(content=as_read).select(*_ROW)


def _as_text(column: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """The column as text, or None where its type has no place in an utterance."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _as_text(column.cast(kind.value_type))
    scalar = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_integer,
              pa.types.is_floating, pa.types.is_timestamp, pa.types.is_date, pa.types.is_null)  # fmt: skip
    return column.cast(pa.string()) if any(test(kind) for test in scalar) else None
