"""The workspace: one fsspec URL under which everything lies, and publishing a file in one step.

A file appears whole or not at all. It is written to a local temporary file first; then one ``os.replace`` on local
disk, or one upload to the final key on an object store, makes it visible. An exception in between publishes nothing.
"""

import json
import os
import posixpath
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

from tasks.errors import DamagedFile, WorkflowError
from tasks.storage.filesystem import (
    answering,
    arrow_filesystem,
    file_date,
    list_files,
    open_url,
    path_exists,
    remove_tree,
)
from tasks.storage.vector_field import vector_type

if TYPE_CHECKING:
    import pyarrow.dataset as ds

ROW_GROUP = 65_536  # rows
_TEMPORARY = ".tmp-"  # begins the name of a file that is being written
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def checked_name(name: str, what: str) -> str:
    """Return ``name`` if it can be one folder's name on any store, else raise.

    Raises:
        WorkflowError: anything but letters, digits, dot, underscore and hyphen, or too long.
    """
    if not _NAME.fullmatch(name):
        raise WorkflowError(f"{what} {name!r} is not a usable name: letters, digits, '.', '_' and '-', at most 100")
    return name


def _is_temporary(path: str) -> bool:
    return posixpath.basename(path).startswith(_TEMPORARY)


def _sync(path: Path) -> None:
    """Wait until a file's content is on disk; else a name may outlive a crash of the machine, and its content not."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _parquet_writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    vectors = {field.name for field in schema if pa.types.is_fixed_size_binary(field.type) and vector_type(field)}
    if not vectors:
        return pq.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True)
    others = [name for name in schema.names if name not in vectors]
    compression = {name: "none" if name in vectors else "zstd" for name in schema.names}
    return pq.ParquetWriter(
        path, schema, compression=compression, write_page_checksum=True, use_dictionary=others, write_statistics=others
    )


@dataclass(frozen=True)
class Workspace:
    """Paths given to its methods are relative to the workspace, with '/' between folders."""

    url: str

    def __post_init__(self) -> None:
        # Workers may run in another folder: a local path is made absolute where it was given.
        fs, root = open_url(self.url)
        if isinstance(fs, LocalFileSystem):
            object.__setattr__(self, "url", root)

    @cached_property
    def _root(self) -> tuple[Any, str]:
        fs, root = open_url(self.url)
        return fs, root.rstrip("/")

    @property
    def fs(self) -> Any:
        """The fsspec filesystem that the workspace lies on."""
        return self._root[0]

    @property
    def is_local(self) -> bool:
        return isinstance(self.fs, LocalFileSystem)

    def path(self, relative: str) -> str:
        """The path as the filesystem knows it."""
        return f"{self._root[1]}/{relative}" if relative else self._root[1]

    def uri(self, relative: str) -> str:
        """The path as a person or Polars would write it, with its protocol unless local."""
        return self.path(relative) if self.is_local else str(self.fs.unstrip_protocol(self.path(relative)))

    def exists(self, relative: str) -> bool:
        with answering(self.uri(relative)):
            return path_exists(self.fs, self.path(relative))

    def files(self, folder: str) -> list[str]:
        """Every file below ``folder``, relative to the workspace, sorted; temporary files are not seen.

        Raises:
            WorkflowError: some folder below it cannot be listed: what is hidden is not taken for what is not there.
        """
        return list(self.sizes(folder))

    def sizes(self, folder: str) -> dict[str, int]:
        """The same files, each with its bytes."""
        return {path: int(info["size"]) for path, info in self._listed(folder) if not _is_temporary(path)}

    def size(self, relative: str) -> int:
        """Bytes of a file; 0 where there is none any more."""
        with answering(self.uri(relative)), suppress(FileNotFoundError):
            return int(self.fs.info(self.path(relative))["size"])
        return 0

    def dates(self, folder: str) -> dict[str, float | None]:
        """When each file below ``folder`` was last written, in seconds by the store's clock; None: it does not tell."""
        return {path: file_date(info) for path, info in self._listed(folder) if not _is_temporary(path)}

    def temporary(self, folder: str = "") -> dict[str, float]:
        """The temporary files below ``folder`` that are being written, or were when their process was killed.

        Each with the seconds since it was last written to. Only a local workspace has such files.
        """
        if not self.is_local:
            return {}
        now = time.time()
        return {path: now - info["mtime"] for path, info in self._listed(folder) if _is_temporary(path)}

    def _listed(self, folder: str) -> list[tuple[str, dict[str, Any]]]:
        prefix = len(self.path("")) + 1
        with answering(self.uri(folder)):
            listed = list_files(self.fs, self.path(folder))
        return sorted((str(path)[prefix:], info) for path, info in listed.items())

    @property
    def arrow_fs(self) -> pafs.FileSystem:
        """The same filesystem for libraries that want Arrow's interface."""
        return arrow_filesystem(self.fs)

    @contextmanager
    def open(self, relative: str) -> Iterator[Any]:
        """A file, open for reading its bytes."""
        with answering(self.uri(relative)), self.fs.open(self.path(relative), "rb") as file:
            yield file

    def remove_folder(self, relative: str) -> None:
        """Remove a folder and what is in it; one that is not there is fine."""
        if self.exists(relative):
            with answering(self.uri(relative)):
                remove_tree(self.fs, self.path(relative))

    def remove(self, relative: str) -> None:
        with answering(self.uri(relative)):
            self.fs.rm_file(self.path(relative))

    def rename(self, relative: str, to: str) -> None:
        """Give a file another name, over whatever has it; on an object store it has both for a moment."""
        if self.is_local:
            with answering(self.uri(relative)):
                Path(self.path(relative)).replace(self.path(to))
        else:
            with answering(self.uri(relative)):
                self.fs.cp_file(self.path(relative), self.path(to))
                self.fs.rm_file(self.path(relative))

    def check_writable(self, folder: str) -> None:
        """Make sure that files can be made in a folder, before hours of work for one; a remote store says so itself.

        Raises:
            WorkflowError: they cannot; names the folder.
        """
        if self.is_local:
            with answering(self.uri(folder)):
                Path(self.path(folder)).mkdir(parents=True, exist_ok=True)
                tempfile.TemporaryFile(prefix=_TEMPORARY, dir=self.path(folder)).close()

    @contextmanager
    def publish(self, relative: str) -> Iterator[Path]:
        """Yield a local path to write to; on leaving without an error the file appears at ``relative`` in one step."""
        final = Path(self.path(relative))
        with answering(self.uri(relative)):
            if self.is_local:
                final.parent.mkdir(parents=True, exist_ok=True)
            folder = final.parent if self.is_local else None
            with tempfile.NamedTemporaryFile(prefix=_TEMPORARY, dir=folder, delete=False) as handle:
                temporary = Path(handle.name)
        try:
            yield temporary
            if self.is_local:
                with answering(self.uri(relative)):
                    temporary.chmod(0o644)
                    _sync(temporary)
                    temporary.replace(final)
            else:
                self._put(temporary, relative)
        finally:
            temporary.unlink(missing_ok=True)

    def _put(self, local: Path, relative: str) -> None:
        with answering(self.uri(relative)):
            try:
                self.fs.put_file(str(local), self.path(relative))
            except FileNotFoundError as error:
                bucket = self._root[1].split("/", 1)[0]
                raise WorkflowError(f"{self.uri(relative)}: there is no {bucket!r} to write to; make it") from error

    def write_table(self, relative: str, table: pa.Table, row_group_size: int = ROW_GROUP) -> None:
        """Publish one Parquet file; the same table always gives the same bytes."""
        self.write_tables(relative, table.schema, iter([table]), row_group_size)

    def write_tables(self, relative: str, schema: pa.Schema, tables: Iterator[pa.Table], row_group_size: int) -> None:
        """Publish one Parquet file of tables that come one after another; none is held after it is written."""
        with self.publish(relative) as local, _parquet_writer(local, schema) as writer:
            for table in tables:
                with answering(self.uri(relative)):
                    writer.write_table(table.replace_schema_metadata(schema.metadata), row_group_size)

    @contextmanager
    def parquet(self, relative: str) -> Iterator[pq.ParquetFile]:
        """A Parquet file, open for reading; the checksums of its pages are compared, where it was written with some.

        Raises:
            FileNotFoundError: it is not there.
            DamagedFile: it is not what was written.
        """
        path, fs = self.path(relative), self.arrow_fs
        with (
            answering(self.uri(relative)),
            self.intact(relative),
            pq.ParquetFile(path, filesystem=fs, page_checksum_verification=True) as file,
        ):
            yield file

    @contextmanager
    def intact(self, relative: str) -> Iterator[None]:
        """Put into words what Arrow says of a damaged file, while one is read.

        Raises:
            DamagedFile: it is not what was written.
        """
        try:
            yield
        except (pa.ArrowException, OSError) as error:
            if isinstance(error, OSError) and (error.errno is not None or type(error) is not OSError):
                raise  # of the system, or of the store
            reason = str(error).strip().split("\n", 1)[0]
            raise DamagedFile(self.uri(relative), relative, reason) from error

    @contextmanager
    def dataset(self, relative: str, schema: pa.Schema | None = None) -> Iterator["ds.Dataset"]:
        """A Parquet file of which only some rows are wanted."""
        import pyarrow.dataset as ds  # takes a while, which a query need not wait for

        checked = ds.ParquetFileFormat(
            default_fragment_scan_options=ds.ParquetFragmentScanOptions(page_checksum_verification=True)
        )
        with answering(self.uri(relative)), self.intact(relative):
            yield ds.dataset(self.path(relative), schema, checked, self.arrow_fs)

    def read_table(self, relative: str, columns: list[str] | None = None) -> pa.Table:
        """Raises: FileNotFoundError: it is not there; DamagedFile: it is not what was written."""
        with self.parquet(relative) as file:
            table = file.read(columns=columns)
        if absent := set(columns or ()) - set(table.column_names):
            raise DamagedFile(self.uri(relative), relative, f"it lacks {', '.join(sorted(absent))}")
        return table

    def write_bytes(self, relative: str, content: bytes) -> None:
        with self.publish(relative) as local, answering(self.uri(relative)):
            local.write_bytes(content)

    def read_bytes(self, relative: str) -> bytes:
        """Raises: WorkflowError: no such file."""
        try:
            with answering(self.uri(relative)):
                return bytes(self.fs.cat_file(self.path(relative)))
        except FileNotFoundError as error:
            raise WorkflowError(f"{self.uri(relative)} is not there") from error

    def fetch(self, relative: str, local: Path) -> None:
        """Copy a file to a local one."""
        with answering(self.uri(relative)):
            self.fs.get_file(self.path(relative), str(local))

    def write_json(self, relative: str, content: object) -> None:
        text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        self.write_bytes(relative, text.encode())

    def read_json(self, relative: str) -> Any:
        """Raises: DamagedFile: it is empty or cut; WorkflowError: no such file."""
        try:
            return json.loads(self.read_bytes(relative))
        except ValueError as error:
            raise DamagedFile(self.uri(relative), relative, f"no JSON: {error}") from error
