"""Sources by name. A new one is one file in this folder, one line in `SOURCES` and its name in `SourceKind`.

A source's module is imported when it is asked for: some bring libraries that take seconds.
"""

from collections.abc import Mapping
from importlib import import_module

from tasks.config.stages import Column, SourceKind
from tasks.sources.base import Source

SOURCES: dict[SourceKind, str] = {
    "table": "tasks.sources.table:Table",
    "meld": "tasks.sources.meld:Meld",
    "iemocap": "tasks.sources.iemocap:Iemocap",
    "whisperx": "tasks.sources.whisperx:WhisperX",
    "srt": "tasks.sources.subtitles:srt",
    "vtt": "tasks.sources.subtitles:vtt",
    "sdt-pickle": "tasks.sources.pickles.sdt_pickle:SdtPickle",
}


def source(kind: SourceKind, columns: Mapping[Column, str] | None = None) -> Source:
    """The source of this kind; ``columns`` says which column of a table each canonical one is."""
    module, name = SOURCES[kind].split(":")
    make = getattr(import_module(module), name)
    made: Source = make(columns or {}) if kind == "table" else make()
    return made
