"""CSV files as rows of text with exact row numbers; a row that cannot be read costs itself alone."""

import csv
import io
import json
from collections.abc import Iterator
from itertools import islice

import polars as pl

from tasks.errors import WorkflowError
from tasks.sources.base import BATCH_ROWS, ROW, SourceFile

_LARGEST_FIELD = 2**24  # characters; an open quote would otherwise swallow the rest of the file


def csv_batches(file: SourceFile, required: tuple[str, ...]) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Read a UTF-8 file, with or without a byte order mark, in batches of two frames of equal height.

    The first has the header's columns; the second has ``row``, ``problem`` and ``content``, which a column of the
    file may also be called.

    Raises:
        WorkflowError: the header lacks a required column, or the file cannot be split into rows.
    """
    csv.field_size_limit(_LARGEST_FIELD)
    fs, path = file.filesystem
    with fs.open(path, "rb") as raw:
        text = io.TextIOWrapper(raw, encoding="utf-8-sig", errors="surrogateescape", newline="")
        reader = csv.reader(text, strict=True)
        try:
            header = [name.strip() for name in next(reader, [])]
            _check_header(file, header, required)
            rows = enumerate(reader, start=1)
            while batch := list(islice(rows, BATCH_ROWS)):
                yield _frames(header, batch)
        except csv.Error as error:
            raise WorkflowError(
                f"{file.url}: not readable as CSV at line {reader.line_num}: {error}\n"
                "  expected: comma-separated UTF-8, quotes doubled inside quoted fields"
            ) from error


def _check_header(file: SourceFile, header: list[str], required: tuple[str, ...]) -> None:
    missing = [name for name in required if name not in header]
    if missing:
        shown = ", ".join(name.encode("ascii", "backslashreplace").decode()[:40] for name in header[:12]) or "empty"
        raise WorkflowError(
            f"{file.url}: the header lacks {', '.join(missing)}\n"
            f"  found: {shown}\n  expected: CSV whose first line names at least {', '.join(required)}"
        )
    if len(set(header)) < len(header):
        raise WorkflowError(f"{file.url}: the header names a column twice: {', '.join(header)}")


def _frames(header: list[str], batch: list[tuple[int, list[str]]]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Turn numbered rows into both frames of `csv_batches`; a row with a problem is blank in the first."""
    problems = [_problem(fields, len(header)) for _, fields in batch]
    blank = [""] * len(header)
    readable = [fields if problem is None else blank for (_, fields), problem in zip(batch, problems, strict=True)]
    content = [
        None if problem is None else json.dumps(fields, ensure_ascii=True)
        for (_, fields), problem in zip(batch, problems, strict=True)
    ]
    columns = dict(zip(header, zip(*readable, strict=True), strict=True))
    notes = {"row": [number for number, _ in batch], "problem": problems, "content": content}
    return (
        pl.DataFrame(columns, schema=dict.fromkeys(header, pl.String)),
        pl.DataFrame(notes, schema={name: ROW[name] for name in notes}),
    )


def _problem(fields: list[str], expected: int) -> str | None:
    if len(fields) != expected:
        return f"has {len(fields)} fields, the header {expected}"
    try:
        "".join(fields).encode()
    except UnicodeEncodeError:
        return "is not valid UTF-8"
    return None
