"""A lazy scan of Parquet files that checks every page that it reads, which Polars' own scan does not.

A file has values of its own as columns, such as the day in its path: a filter by them opens only the files it leaves.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import polars as pl
import pyarrow as pa
from polars.io.plugins import register_io_source

from tasks.archive.repair import reading
from tasks.storage.workspace import Workspace

_AHEAD = 4  # files that are read while one is worked on
_CHOSEN = "chosen by the predicate"


def scan_files(workspace: Workspace, paths: Sequence[str], schema: pa.Schema, values: pl.DataFrame) -> pl.LazyFrame:
    """The rows of all files, in order, read as the query goes on; a damaged file ends it with its name.

    Args:
        workspace: where the files lie.
        paths: of the files.
        schema: of each.
        values: further columns, in front; a row for each file.
    """
    scan = _Scan(workspace, tuple(paths), tuple(schema.names), values)
    return register_io_source(scan.read, schema=pl.Schema({**values.schema, **pl.Schema(schema)}), is_pure=True)


@dataclass(frozen=True)
class _Scan:
    workspace: Workspace
    paths: tuple[str, ...]
    names: tuple[str, ...]
    values: pl.DataFrame

    def read(
        self, columns: list[str] | None, predicate: pl.Expr | None, limit: int | None, _batch: int | None
    ) -> Iterator[pl.DataFrame]:
        """What Polars asks for; ``limit``: so many rows are enough."""
        files = self.values.with_row_index("file")
        for condition in _conjuncts(predicate):
            if set(condition.meta.root_names()) <= set(self.values.columns):
                files = files.filter(condition)
        wanted = [*self.values.columns, *self.names] if columns is None else columns or [self.names[0]]
        for frame in _in_order(lambda file: self._read_file(file, wanted, predicate), files["file"]):
            yield frame if limit is None else frame.head(limit)
            if limit is not None and (limit := limit - frame.height) <= 0:
                return

    def _read_file(self, file: int, columns: list[str], predicate: pl.Expr | None) -> pl.DataFrame | None:
        if predicate is None:
            return self._columns(file, columns)
        roots = sorted(set(predicate.meta.root_names())) or [self.names[0]]  # a constant holds for every row or none
        judged = self._columns(file, roots).with_columns(predicate.alias(_CHOSEN))
        if not judged[_CHOSEN].any():  # of most files, where few rows are wanted: nothing else of them is read
            return None
        others = [name for name in columns if name not in roots]
        rest = [self._columns(file, others)] if others else []
        return pl.concat([judged, *rest], how="horizontal").filter(_CHOSEN).select(columns)

    def _columns(self, file: int, columns: list[str]) -> pl.DataFrame:
        own = [name for name in self.names if name in columns] or [self.names[0]]  # any says how many rows there are
        with reading(self.workspace, self.paths[file]):
            rows = pl.from_arrow(self.workspace.read_table(self.paths[file], own))
        assert isinstance(rows, pl.DataFrame)
        values = self.values.row(file, named=True)
        constants = [pl.lit(values[name], of).alias(name) for name, of in self.values.schema.items()]
        return rows.with_columns(constants).select(columns)


def _conjuncts(predicate: pl.Expr | None) -> list[pl.Expr]:
    """The conditions that all have to hold for the predicate to."""
    if predicate is None:
        return []
    parts = predicate.meta.pop()
    if len(parts) == 2 and predicate.meta.eq(parts[1] & parts[0]):
        return [*_conjuncts(parts[1]), *_conjuncts(parts[0])]
    return [predicate]


def _in_order(read: Callable[[int], pl.DataFrame | None], files: Iterable[int]) -> Iterator[pl.DataFrame]:
    """What is read of each file, where anything is, some files ahead of who asks."""
    rest = iter(files)
    with ThreadPoolExecutor(_AHEAD) as pool:
        pending = deque(pool.submit(read, file) for file in islice(rest, _AHEAD))
        while pending:
            frame = pending.popleft().result()
            pending.extend(pool.submit(read, file) for file in islice(rest, 1))
            if frame is not None:
                yield frame
