"""Sources by name, from the table in `tasks.config.sources`.

A source's module is imported when it is asked for: some bring libraries that take seconds.
"""

from collections.abc import Mapping
from importlib import import_module

from tasks.config.sources import SOURCES, SourceKind
from tasks.config.stages import Column
from tasks.sources.base import Source


def source(kind: SourceKind, columns: Mapping[Column, str] | None = None) -> Source:
    """Open the source of a kind; ``columns`` maps canonical columns to a table's."""
    module, name = SOURCES[kind].loader.split(":")
    loader = getattr(import_module(module), name)
    loaded: Source = loader(columns or {}) if kind == "table" else loader()
    return loaded
