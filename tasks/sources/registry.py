"""Sources by name, from the table in `tasks.config.sources`.

A source's module is imported when it is asked for: some bring libraries that take seconds.
"""

from importlib import import_module

from tasks.config.sources import SOURCES, SourceKind
from tasks.config.tables import TableSettings
from tasks.sources.base import Source


def source(kind: SourceKind, table: TableSettings | None = None) -> Source:
    """Open the source of a kind; ``table`` says how a table is laid out."""
    module, name = SOURCES[kind].loader.split(":")
    loader = getattr(import_module(module), name)
    loaded: Source = loader(table or TableSettings()) if kind == "table" else loader()
    return loaded
