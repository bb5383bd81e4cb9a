"""Stores: every fsspec URL is opened here, and here a store's failure is put into words.

A store that is out is waited for by its own library, which repeats a request with growing pauses. What is out longer
than that is a `StoreOut`: `tasks.executor.fan_out` tries the shard again, and whoever has nothing to try again ends
with it.
"""

import errno
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.fs as pafs
from fsspec.asyn import AsyncFileSystem
from fsspec.implementations.local import LocalFileSystem

from tasks.errors import StoreOut, WorkflowError

# Of one request to S3: with pauses that double, 6 attempts bridge about half a minute.
_ATTEMPTS, _CONNECT_S, _READ_S = 6, 10, 30
# s3fs repeats the whole of it where an answer breaks off or says that it is asked too often.
_ROUNDS = 2
_S3 = {"s3", "s3a"}
_REMOVERS = 16
_LIBRARIES = {"botocore", "aiobotocore", "aiohttp", "gcsfs", "google", "adlfs", "azure"}
# What stores say of a file that changes with its content, the surest first; a file's inode or owner is none of it.
_VERSIONS = ("ETag", "etag", "md5Hash", "mtime", "LastModified", "last_modified", "Last-Modified", "created")
_DATES = ("mtime", "LastModified", "last_modified", "updated", "created")
# These say what there is at a path, and nothing about the store.
_OF_A_PATH = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY, errno.ELOOP, errno.ENAMETOOLONG}
CREDENTIALS = r"://(?!arn:)[^/@\s]*:(?!\d+/)[^@\s]*@"
"""Name and password in a URL. An S3 secret key may hold slashes; a port before a path, or an ARN, is no password."""
_PASSWORD = re.compile(CREDENTIALS)


def open_url(url: str) -> tuple[Any, str]:
    """The fsspec filesystem of a URL, and the path on it; which credentials it uses is said by the environment.

    Listings are not remembered: what another process has written since is seen.

    Raises:
        WorkflowError: the URL holds a password.
    """
    if _PASSWORD.search(url):
        raise WorkflowError(
            f"the URL {_PASSWORD.sub('://...@', url)} holds a password, and would be written into logs and manifests\n"
            "  give it in the environment, as the store's own tools read it"
        )
    protocol, _ = fsspec.core.split_protocol(url)
    if protocol is None or protocol in ("file", "local"):
        return fsspec.core.url_to_fs(url)  # type: ignore[no-any-return]
    s3 = protocol in _S3
    fs, path = fsspec.core.url_to_fs(url, use_listings_cache=False, **(_s3_options() if s3 else {}))
    if s3:
        fs.retries = _ROUNDS
    return fs, path


def path_exists(fs: Any, path: str) -> bool:
    """Whether there is something at a path; fsspec's own says no where it may not look, or where the store is out."""
    try:
        fs.info(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def is_folder(fs: Any, path: str) -> bool:
    """Whether there is a folder at a path; fsspec's own says no where it may not look."""
    try:
        return bool(fs.info(path)["type"] == "directory")
    except (FileNotFoundError, NotADirectoryError):
        return False


def list_files(fs: Any, path: str, depth: int | None = None) -> dict[str, dict[str, Any]]:
    """What the store says of every file below a folder, by path, sorted; none where there is no such folder.

    fsspec's own `find` passes over folders that it may not read, and over those that links lead to.

    Args:
        fs: the filesystem.
        path: the folder.
        depth: levels of folders; 1: its own files alone, None: all.

    Raises:
        OSError: some folder cannot be listed, so that the whole cannot be known.
    """
    if depth is None and _lists_at_once(fs):
        try:
            return dict(fs.find(path, detail=True))
        except FileNotFoundError:
            return {}
    files: dict[str, dict[str, Any]] = {}
    _list_below(fs, path, depth, files, above=())
    return {name: files[name] for name in sorted(files)}


def _list_below(
    fs: Any, path: str, depth: int | None, files: dict[str, dict[str, Any]], above: tuple[tuple[int, int], ...]
) -> None:
    local = isinstance(fs, LocalFileSystem)
    try:
        if local:
            state = os.stat(path)  # noqa: PTH116 - it is the filesystem's own path
            if (state.st_dev, state.st_ino) in above:
                return  # a link that leads back to where it lies
            above = (*above, (state.st_dev, state.st_ino))
        entries = fs.ls(path, detail=True)
    except (FileNotFoundError, NotADirectoryError):
        return  # it was removed since its own folder was listed
    for entry in entries:
        entry = _followed(fs, entry) if local and entry["islink"] else entry
        name = entry["name"].rstrip("/")
        if entry["type"] != "directory":
            files[name] = entry
        elif name != path.rstrip("/") and depth != 1:
            _list_below(fs, name, depth and depth - 1, files, above)


def _followed(fs: Any, entry: dict[str, Any]) -> dict[str, Any]:
    """What a link leads to, under the link's name; the link itself where that is gone."""
    try:
        info: dict[str, Any] = fs.info(entry["name"])
    except FileNotFoundError:
        return entry
    return info


def _lists_at_once(fs: Any) -> bool:
    """Whether the filesystem lists a tree by itself, as object stores do; such a listing fails as a whole."""
    own = getattr(type(fs), "_find", None) if isinstance(fs, AsyncFileSystem) else type(fs).find
    return own not in (AsyncFileSystem._find, fsspec.AbstractFileSystem.find)


class _Handler(pafs.FSSpecHandler):  # type: ignore[misc]
    """Arrow's own takes any failure of a store for a file that is not there, and removes as `remove_tree` must not."""

    def open_input_file(self, path: str) -> pa.PythonFile:
        return pa.PythonFile(self.fs.open(path, "rb"), mode="r")

    def delete_dir(self, path: str) -> None:
        remove_tree(self.fs, path)


def remove_tree(fs: Any, path: str) -> None:
    """Remove a folder and all that is in it.

    One request a file: many gateways refuse the request that names a thousand, for want of a header of old.
    """
    if type(fs).__name__ != "S3FileSystem":
        fs.rm(path, recursive=True)
        return
    with ThreadPoolExecutor(_REMOVERS) as pool:
        list(pool.map(fs.rm_file, list_files(fs, path)))


def arrow_filesystem(fs: Any) -> pafs.FileSystem:
    """An fsspec filesystem for libraries that want Arrow's interface."""
    return pafs.LocalFileSystem() if isinstance(fs, LocalFileSystem) else pafs.PyFileSystem(_Handler(fs))


def file_version(fs: Any, path: str, info: dict[str, Any]) -> str:
    """A text that changes with a file's content, without reading it; ``info`` is what the store says of the file."""
    known = next((info[name] for name in _VERSIONS if info.get(name)), None)  # some gateways say ""
    return str(fs.ukey(path)) if known is None else f"{info.get('size')} bytes, {known}"


def file_date(info: dict[str, Any]) -> float | None:
    """When a file was last written, in seconds by the store's clock; None where ``info`` does not say."""
    date = next((info[name] for name in _DATES if info.get(name)), None)
    with suppress(ValueError):
        date = datetime.fromisoformat(date) if isinstance(date, str) else date
    if isinstance(date, datetime):
        return date.timestamp()
    return float(date) if isinstance(date, int | float) else None


@contextmanager
def answering(url: str) -> Iterator[None]:
    """Put a store's failure into words. That a path is not there is none, and stays what it is.

    Raises:
        WorkflowError: the store does not let us in.
        StoreOut: it does not answer, or fails.
    """
    try:
        yield
    except Exception as error:
        if (fault := store_fault(url, error)) is None:
            raise
        raise fault from error


def store_fault(url: str, error: Exception) -> WorkflowError | None:
    """What an error says of the store; None where it says nothing of it."""
    kind = type(error)
    read_only = isinstance(error, OSError) and error.errno == errno.EROFS
    if isinstance(error, PermissionError) or read_only or "Credentials" in kind.__name__:
        return WorkflowError(f"{url}: access is refused: {error}\n  {_allowing(url)}")
    of_the_system = isinstance(error, OSError) and error.errno is not None and error.errno not in _OF_A_PATH
    if not (of_the_system or isinstance(error, TimeoutError) or kind.__module__.partition(".")[0] in _LIBRARIES):
        return None
    return StoreOut(
        f"{url}: the store fails, or does not answer: {error or kind.__name__}\n"
        "  see that it is up and has room, and run the same again: what is done stays done"
    )


def _s3_options() -> dict[str, Any]:
    """Timeouts and attempts for botocore; its own variables, and fsspec's configuration, come before ours."""
    ours = {
        "connect_timeout": _CONNECT_S,
        "read_timeout": _READ_S,
        "retries": {
            "mode": os.environ.get("AWS_RETRY_MODE", "standard"),
            "total_max_attempts": int(os.environ.get("AWS_MAX_ATTEMPTS", _ATTEMPTS)),
        },
    }
    return {"config_kwargs": ours | fsspec.config.conf.get("s3", {}).get("config_kwargs", {})}


def _allowing(url: str) -> str:
    if fsspec.core.split_protocol(url)[0] in _S3:
        return (
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a role or profile, for this process and for Ray's "
            "workers,\n  and let them list, read, write and delete there"
        )
    return "let the user that runs this, and Ray's workers, read and write there"
