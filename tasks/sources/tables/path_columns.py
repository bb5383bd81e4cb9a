"""Columns that a file's path holds: hive partitions (``split=train/``), and what a pattern takes from its name."""

import re
from urllib.parse import unquote

from tasks.config.tables import PLACEHOLDER
from tasks.errors import WorkflowError
from tasks.sources.base import SourceFile

_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


def path_columns(file: SourceFile, pattern: str | None) -> dict[str, str | None]:
    """Read the columns that a file's path holds.

    Hive partitions are the folders below the source's, and those right above them: who names split=test itself means
    it, too.

    Raises:
        WorkflowError: the path has two values for one column, or the pattern does not fit it.
    """
    columns: dict[str, str | None] = {}
    pairs = [*_partitions(file), *([] if pattern is None else _named(file, pattern))]
    for name, value in pairs:
        if columns.setdefault(name, value) != value:
            raise WorkflowError(f"{file.url}: its path has two values for {name}: {columns[name]} and {value}")
    return columns


def _partitions(file: SourceFile) -> list[tuple[str, str | None]]:
    above = file.url.removesuffix(file.name).rstrip("/").split("/")
    first = len(above)
    while first > 0 and "=" in above[first - 1]:
        first -= 1
    pairs = [part.split("=", 1) for part in [*above[first:], *file.name.split("/")[:-1]] if "=" in part]
    return [(_decoded(name), None if value == _NO_VALUE else _decoded(value)) for name, value in pairs if name]


def _decoded(text: str) -> str:
    """Undo percent-encoding, unless what comes of it is not UTF-8."""
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        return text


def _named(file: SourceFile, pattern: str) -> list[tuple[str, str | None]]:
    """Match the pattern with as many parts of the path as it has."""
    parts = PLACEHOLDER.split(pattern)
    texts, names = parts[::2], parts[1::2]
    fixed = [".*".join(map(re.escape, text.split("*"))).replace(".*", "[^/]*") for text in texts]
    expression = fixed[0] + "".join(f"(?P<{n}>[^/]+?){text}" for n, text in zip(names, fixed[1:], strict=True))
    end = "/".join(file.url.split("/")[-1 - pattern.count("/") :])
    match = re.fullmatch(expression, end)
    if match is None:
        raise WorkflowError(f"{file.url}: `file_pattern` {pattern!r} does not fit its name\n  fit it, or move the file")
    return list(match.groupdict().items())
