"""CSV files as rows of text with exact row numbers; a row that cannot be read costs itself alone."""

import json
from collections.abc import Iterator
from itertools import islice

import polars as pl

from tasks.errors import WorkflowError
from tasks.sources.base import BATCH_ROWS, ROW, SourceFile
from tasks.sources.tables.dialect import Dialect, dialect_of, header_of, last_named, records
from tasks.sources.tables.names import AS_WRITTEN, Names, likely


def csv_batches(
    file: SourceFile, required: tuple[str, ...], names: Names = AS_WRITTEN
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Read a file in batches of two frames of equal height; lines and rows of nothing are passed over.

    The first has the header's columns; the second has ``row``, ``problem`` and ``content``, which a column of the
    file may also be called.

    Args:
        file: the table.
        required: columns that it must have.
        names: of the columns that are used, where these may be written in another way.

    Raises:
        WorkflowError: the header lacks a required column, or the file cannot be split into rows.
    """
    dialect = dialect_of(file, required)
    header = header_of(file, dialect)
    renamed = names.of(file, filter(None, header))
    header = [renamed.get(name, name) for name in header]
    _check_header(file, header, required, dialect)
    rows = enumerate(islice(records(file, dialect), 1, None), start=1)
    written = ((number, fields) for number, fields in rows if any(map(str.strip, fields)))
    while batch := list(islice(written, BATCH_ROWS)):
        yield _frames(header, batch)


def _check_header(file: SourceFile, header: list[str], required: tuple[str, ...], dialect: Dialect) -> None:
    missing = [name for name in required if name not in header]
    if missing or not any(header):
        shown = ", ".join(name.encode("ascii", "backslashreplace").decode()[:40] for name in header[:12]) or "empty"
        raise WorkflowError(
            f"{file.url}: the header lacks {', '.join(missing) or 'names'}\n"
            f"  found: {shown}\n  expected: CSV whose first line names at least {', '.join(required)}"
            f"{likely(missing, header)}"
        )
    names = [name for name in header if name]
    if len(set(names)) < len(names):
        raise WorkflowError(f"{file.url}: the header names a column twice: {dialect.delimiter.join(header)}")


def _frames(header: list[str], batch: list[tuple[int, list[str]]]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Turn numbered rows into both frames of `csv_batches`; a row with a problem is blank in the first."""
    last = last_named(header)
    problems = [_problem(fields, header, last) for _, fields in batch]
    blank = [""] * last
    readable = [
        fields[:last] if problem is None else blank for (_, fields), problem in zip(batch, problems, strict=True)
    ]
    content = [
        None if problem is None else json.dumps(fields, ensure_ascii=True)
        for (_, fields), problem in zip(batch, problems, strict=True)
    ]
    # A column without a name between others, such as the index that pandas writes, is nobody's.
    columns = {name: values for name, values in zip(header, zip(*readable, strict=True), strict=False) if name}
    notes = {"row": [number for number, _ in batch], "problem": problems, "content": content}
    return (
        pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String)),
        pl.DataFrame(notes, schema={name: ROW[name] for name in notes}),
    )


def _problem(fields: list[str], header: list[str], last: int) -> str | None:
    """Say what is wrong with a row; empty fields behind the last named column, as spreadsheets write them, are not."""
    beyond = None
    if len(fields) > last:
        beyond = next((place for place, field in enumerate(fields[last:], start=last + 1) if field.strip()), None)
    if len(fields) < last or (beyond is not None and len(fields) > len(header)):
        return f"has {len(fields)} fields, the header {len(header)}"
    if beyond is not None:
        return f"has a value in column {beyond}, which the header does not name"
    try:
        "".join(fields).encode()
    except UnicodeEncodeError:
        return "is not valid UTF-8"
    return None
