"""Tables as CSV, JSON or Parquet, with the canonical columns or with others mapped to them."""

import ast
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from tasks.archive.schema import KEY
from tasks.config.tables import JOINED, Column, TableSettings
from tasks.sources.base import CANONICAL, SourceFile, find_files
from tasks.sources.null_values import has_value, null_words
from tasks.sources.tables.delimited import csv_batches
from tasks.sources.tables.json_rows import document_batches, line_batches
from tasks.sources.tables.names import Names
from tasks.sources.tables.parquet_rows import parquet_batches
from tasks.sources.tables.path_columns import path_columns

EXPECTED = f"CSV, JSONL or Parquet with the columns {', '.join(KEY)} and any of {', '.join(CANONICAL[2:])}"
# Files of these kinds lie beside tables for other reasons, so they count where they are named or all that there is.
_ENDINGS, _LESSER = (".csv", ".jsonl", ".ndjson", ".parquet"), (".json", ".tsv")
_ROW = "\0row"  # beside columns of any name
_LIST = r"^\[.*\]$"
_EXPONENT = r"^[+-]?[0-9]+(\.[0-9]+)?[eE]\+[0-9]+$"

log = logging.getLogger("sdt.ingest")


@dataclass(frozen=True)
class Table:
    """Reader of a table or a folder of them, each by its ending; columns that are not used are ignored."""

    settings: TableSettings

    def files(self, path: str, media_root: str | None) -> list[SourceFile]:  # noqa: ARG002
        files = find_files(path, (*_ENDINGS, *_LESSER), EXPECTED)
        tables = [file for file in files if file.name.lower().endswith(_ENDINGS)]
        if not tables or self.settings.records is not None:
            return files
        if len(tables) < len(files):
            log.info("%d files ending in .json or .tsv are passed over: name one to read it", len(files) - len(tables))
        return tables

    def batches(self, file: SourceFile, media_root: str | None) -> Iterator[pl.DataFrame]:  # noqa: ARG002
        path = self._path(file)
        for values, notes in self._read(file, path):
            yield self._canonical(values, notes, path)

    def path_says(self, file: SourceFile) -> dict[str, str | None]:
        """Which columns that are used come from the file's path, and with which value."""
        return {name: value for name, value in self._path(file).items() if name in self._roles}

    def _path(self, file: SourceFile) -> dict[str, str | None]:
        columns = path_columns(file, self.settings.file_pattern)
        renamed = self._names.of(file, columns)
        return {renamed.get(name, name): value for name, value in columns.items()}

    def _read(self, file: SourceFile, path: Mapping[str, str | None]) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
        required = tuple(name for name in self._required if name not in path)
        named = {name for name in self._named if name not in path}
        match file.name.lower().rsplit(".", 1)[-1]:
            case "csv" | "tsv":
                return csv_batches(file, required, self._names)
            case "parquet":
                return parquet_batches(file, self._roles, required, EXPECTED, self.settings.time_format, self._names)
            case "json":
                return document_batches(file, self.settings.records, self._roles, named, self._names)
            case _:
                return line_batches(file, self._roles, named, self._names)

    @cached_property
    def _parts(self) -> dict[Column, tuple[str, ...]]:
        """For every canonical column the table's own that make it."""
        columns = self.settings.columns or {}
        own: dict[Column, str | tuple[str, ...]] = {name: columns.get(name, name) for name in CANONICAL}
        if self.settings.number_turns:
            del own["turn"]
        return {name: (parts,) if isinstance(parts, str) else parts for name, parts in own.items()}

    @cached_property
    def _roles(self) -> dict[str, list[Column]]:
        """For each of the table's columns that is used, the canonical ones that it stands for."""
        roles: dict[str, list[Column]] = {}
        for name, parts in self._parts.items():
            for part in parts:
                roles.setdefault(part, []).append(name)
        return roles

    @cached_property
    def _names(self) -> Names:
        return Names(tuple(self._roles), frozenset(self._named))

    @property
    def _named(self) -> tuple[str, ...]:
        """The columns that `columns` says the table has."""
        return tuple(part for name in self.settings.columns or () for part in self._parts[name])

    @property
    def _required(self) -> tuple[str, ...]:
        """The columns that the table must have: its key, and all that `columns` names."""
        key = (part for name in KEY for part in self._parts.get(name, ()))  # type: ignore[call-overload]
        return tuple(dict.fromkeys([*key, *self._named]))

    def _canonical(self, values: pl.DataFrame, notes: pl.DataFrame, path: Mapping[str, str | None]) -> pl.DataFrame:
        """Make the canonical columns of a batch of the table's own."""
        read = values.select(name for name in values.columns if name in self._roles).with_columns(
            notes["row"].alias(_ROW)
        )
        problems = [pl.lit(notes["problem"])]
        for name, value in path.items():
            if name not in read.columns:
                read = read.with_columns(pl.lit(value, pl.String).alias(name))
            elif value is not None:
                problems.append(_contradiction(name, value))
                read = read.with_columns(
                    pl.when(has_value(pl.col(name), ())).then(name).otherwise(pl.lit(value)).alias(name)
                )
        as_read = pl.struct(pl.exclude(_ROW)).struct.json_encode()
        problem = read.select(pl.coalesce(*problems, *self._unusable_ids(read.columns)).alias("problem"))["problem"]
        written = pl.lit(notes["content"]) if "content" in notes.columns else pl.lit(None, pl.String)
        content = pl.when(pl.lit(problem.is_not_null())).then(pl.coalesce(written, as_read))
        nothing = pl.lit(notes["no_value"]) if "no_value" in notes.columns else pl.lit([], pl.List(pl.String))
        columns = {name: self._column(read, name) for name in CANONICAL}
        return read.select(
            **columns, row=pl.lit(notes["row"]), problem=pl.lit(problem), content=content, no_value=nothing
        )

    def _column(self, read: pl.DataFrame, name: Column) -> pl.Expr:
        own = self._parts.get(name, ())
        parts = [pl.col(part) for part in own if part in read.columns]
        if not parts:
            return pl.lit(None, pl.String)
        if len(own) > 1:
            return self._joined(parts, name)
        return _speakers(parts[0]) if name == "speaker" else parts[0]

    def _joined(self, parts: list[pl.Expr], name: Column) -> pl.Expr:
        """Join several columns: what names a conversation or a file needs them all, and words those that there are."""
        words, between = null_words(self.settings, name), JOINED[name]
        texts = [pl.when(has_value(part, words)).then(part.str.strip_chars()).otherwise(None) for part in parts]
        if name == "conversation_id":  # 1/2 and 3 is another conversation than 1 and 2/3
            texts = [
                part.str.replace_all("%", "%25", literal=True).str.replace_all("/", "%2F", literal=True)
                for part in texts
            ]
        return pl.concat_str(texts, separator=between, ignore_nulls=between == " ").replace("", None)

    def _unusable_ids(self, present: list[str]) -> Iterator[pl.Expr]:
        """Say why a row has no conversation: a part of its name is missing, or is a number that lost its digits."""
        words, parts = null_words(self.settings, "conversation_id"), self._parts["conversation_id"]
        for part in parts:
            column = pl.col(part) if part in present else pl.lit(None, pl.String)
            if len(parts) > 1:
                yield pl.when(~has_value(column, words)).then(pl.lit(f"no {part}, a part of conversation_id"))
            lost = column.str.strip_chars().str.contains(_EXPONENT)
            yield pl.when(lost).then(
                pl.format(f"{part} '{{}}' is a number in exponent form: digits may be lost", column)
            )


def _contradiction(name: str, value: str) -> pl.Expr:
    """Where a column of the file says another thing than the file's path."""
    column = pl.col(name)
    differs = has_value(column, ()) & (column.str.strip_chars() != value)
    return pl.when(differs).then(pl.format(f"{name} is '{{}}', and the file's path says {{}}", column, pl.lit(value)))


def _speakers(column: pl.Expr) -> pl.Expr:
    """Read lists of names, ['Ann Lee'] or ["Ann Lee"], as the names."""
    listed = column.str.strip_chars().str.contains(_LIST)
    names = pl.when(listed).then(column).map_elements(_names, return_dtype=pl.String, skip_nulls=True)
    return pl.when(listed).then(names).otherwise(column)


def _names(text: str) -> str | None:
    try:
        names = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return text
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return text
    return ", ".join(name.strip() for name in names) or None
