"""JSON as rows of text: an object a line, or one document that holds a list of objects somewhere."""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import islice
from typing import Any

import polars as pl

from tasks.errors import WorkflowError
from tasks.sources.base import BATCH_ROWS, SourceFile
from tasks.sources.tables.dialect import decoded, encoding_of
from tasks.sources.tables.names import Names
from tasks.sources.tables.values import Roles, Unusable, as_text

LARGEST = 256 * 2**20  # bytes of a document, which is read whole
_NOTES: dict[str, pl.DataType] = {
    "row": pl.Int64(), "problem": pl.String(), "content": pl.String(), "no_value": pl.List(pl.String),
}  # fmt: skip
_LAYOUTS = 256  # of rows, whose columns are remembered
VALUE = "value"  # the column of a row that is no object but a text or a number
Record = tuple[int, Any, str | None, bytes]
"""A row's number, what it is, why it is not readable, and how it is written."""


def line_batches(
    file: SourceFile, roles: Roles, named: set[str], names: Names
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Read an object a line, in batches as `tasks.sources.tables.delimited.csv_batches` has them.

    Args:
        roles: of the columns that are used.
        named: columns that some row must have.
        names: of the columns that are used.
    """
    with file.filesystem[0].open(file.filesystem[1], "rb") as raw:
        encoding = encoding_of(file)
        lines = raw if encoding == "utf-8-sig" else _lines(decoded(raw.read(), encoding))
        numbered = ((row, line) for row, line in enumerate(lines, start=1) if line.strip(b"\0 \t\r\n\v\f"))
        yield from _batches(file, (_parsed(file, row, line) for row, line in numbered), roles, named, names)


def document_batches(
    file: SourceFile, records: str | None, roles: Roles, named: set[str], names: Names
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Read a document's list of objects, likewise; a file of several documents is one of an object a line.

    Args:
        records: where the rows are (`tasks.config.tables.TableSettings.records`).
        roles, named, names: as of `line_batches`.

    Raises:
        WorkflowError: the file is too large, is not JSON, or has no rows there.
    """
    if file.size > LARGEST:
        raise WorkflowError(
            f"{file.url}: is larger than {LARGEST >> 20} MB, and a JSON document is read whole\n"
            "  write it as JSON Lines, an object a line: jq -c '.[]' x.json > x.jsonl"
        )
    fs, path = file.filesystem
    raw = fs.cat_file(path)
    try:
        text = decoded(raw, encoding_of(file))
        document = json.loads(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" and records is None and text.lstrip()[:1] == "{":
            yield from line_batches(file, roles, named, names)
            return
        raise WorkflowError(f"{file.url}: is not JSON: {error}") from error
    except (ValueError, RecursionError) as error:
        raise WorkflowError(f"{file.url}: is not JSON: {error}") from error
    rows = _rows(file, document, records)
    numbered = ((i, row, None, json.dumps(row).encode()) for i, row in enumerate(rows, start=1) if row != {})
    yield from _batches(file, numbered, roles, named, names)


def _lines(text: str) -> Iterator[bytes]:
    return (line.encode("utf-8", "surrogateescape") for line in text.split("\n"))


def _parsed(file: SourceFile, row: int, line: bytes) -> Record:
    try:
        record = json.loads(line)
        problem = None if isinstance(record, dict) else f"is a JSON {type(record).__name__}, not an object"
    except (ValueError, RecursionError) as error:  # malformed JSON, not UTF-8, or nested without end
        record, problem = None, f"is not JSON: {error}"
    if problem is not None and row == 1:
        array = "; a JSON array is read from a file whose name ends in .json" if line.lstrip()[:1] == b"[" else ""
        raise WorkflowError(f"{file.url}: line 1 {problem}\n  expected: one JSON object a line{array}")
    return row, record, problem, line.rstrip(b"\r\n")


def _rows(file: SourceFile, document: Any, records: str | None) -> Iterable[Any]:
    """Walk to the rows: each with the fields of the objects around it, the innermost first, and with the stars'."""
    if records is None:
        if not isinstance(document, list) or not all(isinstance(row, dict) for row in document):
            what = "an object" if isinstance(document, dict) else "a list of other things than objects"
            likely = _likely(document)
            hint = f", such as --set 'records={likely}'" if likely else ""
            raise WorkflowError(
                f"{file.url}: is {what}, and a table is a list of objects\n  say where its rows are: `records`{hint}"
            )
        return document
    rows = list(_walk(document, records.split("."), {}))
    if not rows:
        raise WorkflowError(f"{file.url}: there is nothing at `records` {records!r}\n  see what the document holds")
    return rows


def _walk(
    node: Any, path: list[str], outer: Mapping[str, Any], walked: tuple[str, ...] = ()
) -> Iterator[dict[str, Any]]:
    if not path:
        yield {**outer, **(node if isinstance(node, dict) else {VALUE: node})}
    elif path[0] != "*":
        if isinstance(node, dict) and path[0] in node:
            own = {name: value for name, value in node.items() if name != path[0] and not _nested(value)}
            # Under its path as well: an inner object may have a field of the same name.
            by_path = {".".join([*walked, name]): value for name, value in own.items()}
            yield from _walk(node[path[0]], path[1:], {**outer, **own, **by_path}, (*walked, path[0]))
    elif isinstance(node, list | dict):
        star = f"*{walked.count('*') + 1}"
        for key, value in enumerate(node) if isinstance(node, list) else node.items():
            yield from _walk(value, path[1:], {**outer, star: key}, (*walked, "*"))


def _nested(value: Any) -> bool:
    """Whether a field of an outer object holds objects, and is no list of names or the like."""
    return isinstance(value, dict) or (isinstance(value, list) and any(isinstance(item, list | dict) for item in value))


def _likely(node: Any) -> str | None:
    """Guess where a document's rows are: the first list of objects without such lists of their own."""
    if isinstance(node, list):
        inner = next((item for item in node if isinstance(item, list | dict)), None)
        if inner is None:
            return None
        return f"*.{below}" if (below := _likely(inner)) else "*" if isinstance(inner, dict) else None
    if isinstance(node, dict):
        for name, value in node.items():
            if isinstance(value, list | dict) and (below := _likely(value)):
                return f"{name}.{below}"
    return None


def _batches(
    file: SourceFile, numbered: Iterator[Record], roles: Roles, named: set[str], names: Names
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    missing, rows = set(named), 0
    renamed = lru_cache(_LAYOUTS)(lambda present: names.of(file, present))
    while batch := list(islice(numbered, BATCH_ROWS)):
        rows += len(batch)
        values, notes = zip(*(_row(record, roles, missing, renamed) for record in batch), strict=True)
        yield (
            pl.DataFrame(values, schema=dict.fromkeys(roles, pl.String), orient="row"),
            pl.DataFrame(notes, schema=_NOTES, orient="row"),
        )
    if rows and missing:
        raise WorkflowError(
            f"{file.url}: no row has {', '.join(sorted(missing))}\n  `columns` says that the table has it"
        )


def _row(
    record: Record, roles: Roles, missing: set[str], renamed: Callable[[tuple[str, ...]], dict[str, str]]
) -> tuple[list[str | None], tuple[Any, ...]]:
    """Turn a record into its values and notes; the columns that it has are removed from ``missing``."""
    row, fields, problem, written = record
    values: dict[str, str | None] = dict.fromkeys(roles)
    no_value: set[str] = set()
    odd = []
    if problem is None:
        others = renamed(tuple(fields))
        fields = {others.get(name, name): value for name, value in fields.items()} if others else fields
        missing.difference_update(fields)
        for name, columns in roles.items():
            value = fields.get(name)
            try:
                values[name] = as_text(value, columns)
            except Unusable as unusable:
                odd.append(str(unusable) if str(unusable).startswith("is ") else f"{name} {unusable}")
            if isinstance(value, float) and math.isnan(value):
                no_value.update(columns)
    if odd:
        problem = ", ".join(dict.fromkeys(odd))
        problem = problem if problem.startswith("is ") else f"column {problem}"
    if problem is not None:
        return [None] * len(roles), (row, problem, ascii(written)[2:-1], sorted(no_value))
    return list(values.values()), (row, None, None, sorted(no_value))
