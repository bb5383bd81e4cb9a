"""Parquet as rows of text, whatever the types of its columns."""

from collections.abc import Collection, Iterator

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.config.tables import Column
from tasks.errors import WorkflowError
from tasks.sources.base import BATCH_ROWS, SourceFile
from tasks.sources.tables.names import Names, likely
from tasks.sources.tables.parquet_pages import pages
from tasks.sources.tables.values import NAMING, TIMES, Roles, inexact
from tasks.storage.filesystem import arrow_filesystem

_EXACT = {"halffloat": 11, "float": 24, "double": 53}  # bits of a float's digits, by the name of its Arrow type
_TEXT = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_integer,
         pa.types.is_timestamp, pa.types.is_date, pa.types.is_time, pa.types.is_null)  # fmt: skip
_BINARY = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view)
_PART_BYTES = 64 * 2**20  # of text that is written out at a time
_SMALL, _MOST_GROWTH = 2**30, 1000  # bytes that any file may unpack to, and how many times its size
_MOST_PAGE = 2**29  # bytes that a page may unpack to, which is decoded at once
_TICKS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}  # in a second, by the unit of an Arrow type


def parquet_batches(
    file: SourceFile, roles: Roles, required: tuple[str, ...], expected: str, time_format: str | None, names: Names
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Read a file in batches as `tasks.sources.tables.delimited.csv_batches` has them.

    Args:
        roles: of the columns that are used.
        required: columns that the file must have.
        expected: what an error asks for, in words.
        time_format: how texts and numbers say a time; a timestamp needs none.
        names: of the columns that are used.

    Raises:
        WorkflowError: the file is not whole, lacks a required column, or unpacks to far more than its size.
    """
    fs, path = file.filesystem
    try:
        with pq.ParquetFile(path, filesystem=arrow_filesystem(fs)) as described:
            schema, footer = described.schema_arrow, described.metadata
    except pa.ArrowInvalid as error:
        raise WorkflowError(f"{file.url}: not a whole Parquet file: {error}\n  expected: {expected}") from error
    renamed = names.of(file, schema.names)
    columns = [renamed.get(name, name) for name in schema.names]
    if missing := [name for name in required if name not in columns]:
        raise WorkflowError(
            f"{file.url}: lacks {', '.join(missing)}\n  found: {', '.join(columns)}\n  expected: {expected}"
            f"{likely(missing, columns)}"
        )
    present = {name: roles[name] for name in roles if name in columns}
    own = {name: name for name in columns} | {name: written for written, name in renamed.items()}
    used = sorted(own[name] for name in present)
    if time_format is not None and not time_format.startswith("epoch_"):
        _check_times_are_text(file, schema, {own[name]: columns for name, columns in present.items()})
    rows, shared = _batch_rows(file, footer, used)
    # A text that many rows have stands once in a dictionary: written out, a batch of rows may take any memory.
    repeated = [name for name in used if _is_text(schema.field(name).type) and name not in shared]
    with pq.ParquetFile(path, filesystem=arrow_filesystem(fs), read_dictionary=repeated) as parquet:
        first, total = 1, 0
        for batch in parquet.iter_batches(rows, columns=used):
            table = pa.Table.from_batches([batch])
            for part, size in _parts(table.rename_columns([renamed.get(name, name) for name in table.column_names])):
                total += size
                _check_growth(file, total)
                yield _frames(part, present, first)
                first += part.num_rows


def _batch_rows(file: SourceFile, footer: pq.FileMetaData, columns: Collection[str]) -> tuple[int, set[str]]:
    """How many rows to decode at a time, by what the pages of the columns say, and which of them share beginnings.

    Raises:
        WorkflowError: a page, or all of them, unpack to more than may be.
    """
    groups, total, longest = [0] * footer.num_row_groups, 0, 1
    shared = set()
    fs, path = file.filesystem
    with fs.open(path, "rb") as raw:
        for page in pages(raw, footer, columns):
            if page.unpacked > _MOST_PAGE:
                raise WorkflowError(
                    f"{file.url}: row group {page.group}, column {page.column}: a page of {page.packed:,} bytes "
                    f"unpacks to {page.unpacked:,}, and at most {_MOST_PAGE:,} are read at once: refused\n"
                    "  if that is what it should hold, write it again with smaller pages"
                )
            groups[page.group] += page.unpacked
            total += page.unpacked
            if page.shared:
                longest = max(longest, page.unpacked)
                shared.add(page.column)
            _check_growth(file, total)
    sizes = (size // max(1, footer.row_group(group).num_rows) for group, size in enumerate(groups))
    return max(1, min(BATCH_ROWS, 4 * _PART_BYTES // max(longest, *sizes))), shared


def _check_growth(file: SourceFile, unpacked: int) -> None:
    if unpacked > max(_SMALL, _MOST_GROWTH * file.size):
        raise WorkflowError(f"{file.url}: unpacks to more than {_MOST_GROWTH} times its {file.size:,} bytes: refused")


def _parts(table: pa.Table) -> Iterator[tuple[pa.Table, int]]:
    """Consecutive rows of at most `_PART_BYTES` of text, but at least one, and how many bytes that are."""
    sizes = np.zeros(table.num_rows, np.int64)
    for column in table.columns:
        for begin, chunk in zip(np.cumsum([0, *map(len, column.chunks)]).tolist(), column.chunks, strict=False):
            if pa.types.is_dictionary(chunk.type):
                lengths = pc.take(pc.binary_length(chunk.dictionary), chunk.indices).fill_null(0)
            elif _is_text(chunk.type):
                lengths = pc.binary_length(chunk).fill_null(0)
            else:
                continue
            sizes[begin : begin + len(chunk)] += lengths.to_numpy(zero_copy_only=False).astype(np.int64)
    ends = np.cumsum(sizes)
    begin = 0
    while begin < table.num_rows:
        before = int(ends[begin - 1]) if begin else 0
        end = max(begin + 1, int(np.searchsorted(ends, before + _PART_BYTES, side="right")))
        yield table.slice(begin, end - begin), int(ends[end - 1]) - before
        begin = end


def _is_text(kind: pa.DataType) -> bool:
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    return any(test(kind) for test in tests)


def _check_times_are_text(file: SourceFile, schema: pa.Schema, roles: Roles) -> None:
    for name, columns in roles.items():
        kind = schema.field(name).type
        if "occurred_at" in columns and pa.types.is_temporal(kind):
            raise WorkflowError(f"{file.url}: {name} has type {kind}, which needs no `time_format`\n  leave it out")


def _frames(table: pa.Table, roles: Roles, first: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    texts, odd, absent = {}, [], []
    for name, columns in roles.items():
        column = table.column(name)
        texts[name], problem, nan = _as_text(column, name, columns)
        odd.append(problem)
        absent += [pl.when(nan).then(pl.lit(canonical)).alias(f"{name} {canonical}") for canonical in columns]
    values = pl.DataFrame(texts, schema=dict.fromkeys(texts, pl.String), height=table.num_rows)
    rows = pl.DataFrame({"row": pl.int_range(first, first + table.num_rows, dtype=pl.Int64, eager=True)})
    notes = rows.with_columns(
        problem=pl.concat_str(odd, separator=", ", ignore_nulls=True).replace("", None),
        no_value=pl.concat_list(absent).list.drop_nulls(),
    )
    written = pl.when(pl.col("problem").is_not_null()).then(pl.lit(_as_json(table)))
    return values, notes.with_columns(content=written)


def _as_json(table: pa.Table) -> pl.Series:
    """Write each row as JSON, as far as Polars has a way to."""
    shown = [
        pl.Series(field.name, [None if value is None else str(value) for value in table.column(field.name).to_pylist()])
        for field in table.schema
    ]
    return pl.DataFrame([column.cast(pl.String) for column in shown]).to_struct().struct.json_encode()


def _as_text(column: pa.ChunkedArray, name: str, roles: Collection[Column]) -> tuple[pl.Series, pl.Expr, pl.Expr]:
    """Write a column as text; the problem of each row, and whether a float says that there is no value."""
    kind = column.type
    no_problem, no_nan = pl.lit(None, pl.String), pl.lit(False)
    if pa.types.is_dictionary(kind):
        return _as_text(column.cast(kind.value_type), name, roles)
    if any(test(kind) for test in _TEXT):
        return _series(column.cast(pa.string())), no_problem, no_nan
    if pa.types.is_duration(kind):
        seconds = _series(column.cast(pa.int64())).cast(pl.Float64) / _TICKS[kind.unit]
        return seconds.cast(pl.String), no_problem, no_nan
    if pa.types.is_decimal(kind):
        return _series(column.cast(pa.string())).str.replace(r"\.0*$", ""), no_problem, no_nan
    if pa.types.is_floating(kind):
        return _floats(column, name, roles)
    if any(test(kind) for test in _BINARY):
        texts = pl.Series([_decoded(value) for value in column.to_pylist()], dtype=pl.String)
        lost = pl.lit(texts.is_null() & pl.Series(column.is_valid().to_numpy()))
        return texts, pl.when(lost).then(pl.lit(f"column {name} holds bytes that are not UTF-8")), no_nan
    if set(roles) == {"speaker"} and pa.types.is_list(kind) and pa.types.is_string(kind.value_type):
        lists = pl.Series([None if v is None else repr(v) for v in column.to_pylist()], dtype=pl.String)
        return lists, no_problem, no_nan
    valid = pl.lit(pl.Series(column.is_valid().to_numpy()))
    nothing = pl.Series([None] * len(column), dtype=pl.String)
    return nothing, pl.when(valid).then(pl.lit(f"column {name} has type {kind}")), no_nan


def _floats(column: pa.ChunkedArray, name: str, roles: Collection[Column]) -> tuple[pl.Series, pl.Expr, pl.Expr]:
    numbers = _series(column.cast(pa.float64()))
    nan = numbers.is_nan().fill_null(False)
    texts = _series(column.cast(pa.string())).zip_with(~nan, pl.Series([None], dtype=pl.String))
    odd = pl.lit(None, pl.String)
    if not (NAMING | TIMES).isdisjoint(roles):
        bits = _EXACT[str(column.type)]
        whole = ((numbers.floor() == numbers) & (numbers.abs() < 2**63)).fill_null(False)
        texts = texts.zip_with(~whole, numbers.cast(pl.Int64, strict=False).cast(pl.String))
        if not NAMING.isdisjoint(roles):
            lost = (numbers.abs() >= 2**bits).fill_null(False) & ~nan
            odd = pl.when(pl.lit(lost)).then(pl.format(f"column {name} holds '{{}}', {inexact(bits)}", pl.lit(texts)))
    if not TIMES.issuperset(roles):
        infinite = pl.lit(numbers.is_infinite())
        odd = pl.when(infinite).then(pl.lit(f"column {name} holds an infinite number")).otherwise(odd)
    return texts, odd, pl.lit(nan)


def _decoded(value: bytes | None) -> str | None:
    """Read what some databases write as bytes; None where it is not UTF-8."""
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None


def _series(column: pa.ChunkedArray | pa.Array) -> pl.Series:
    return pl.Series(pl.from_arrow(column))
