"""Kinds of source by name: the one table that configuration, command line and ingest read.

A new source is a module in `tasks/sources/`, a line here, and a test. The loader is text, so that a configuration is
checked without importing the source's libraries.
"""

from typing import TYPE_CHECKING, Literal, NamedTuple


class SourceEntry(NamedTuple):
    """A kind of source: its loader, as "module:name", and what it reads, as help shows it."""

    loader: str
    summary: str


SOURCES: dict[str, SourceEntry] = {
    "table": SourceEntry("tasks.sources.tables.table:Table", "CSV, JSONL or Parquet with one row an utterance"),
    "meld": SourceEntry("tasks.sources.meld:Meld", "the MELD release"),
    "iemocap": SourceEntry("tasks.sources.iemocap:Iemocap", "the IEMOCAP release"),
    "whisperx": SourceEntry("tasks.sources.whisperx:WhisperX", "WhisperX JSON beside the recordings"),
    "srt": SourceEntry("tasks.sources.subtitles:srt", "SubRip subtitles beside the recordings"),
    "vtt": SourceEntry("tasks.sources.subtitles:vtt", "WebVTT subtitles beside the recordings"),
    "sdt-pickle": SourceEntry("tasks.sources.pickles.sdt_pickle:SdtPickle", "published features of MELD or IEMOCAP"),
}

if TYPE_CHECKING:
    SourceKind = str
else:  # checked by pydantic, whose error lists the names, as does the form in Prefect
    SourceKind = Literal[tuple(SOURCES)]

KIND_HELP = "What the source is: " + "; ".join(f"`{kind}`, {entry.summary}" for kind, entry in SOURCES.items()) + "."
