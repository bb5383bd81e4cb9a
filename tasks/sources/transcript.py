"""Transcripts: one file is one conversation, whose utterances are numbered in the order of time.

A file that cannot be read costs itself alone: it becomes one rejected row with the reason.
"""

import codecs
import json
from collections.abc import Iterable
from typing import NamedTuple

import polars as pl

from tasks.sources.base import CANONICAL, ROW, SourceFile

LARGEST = 64 * 2**20  # bytes; twenty hours of speech with the times of every word are half of it
_SHOWN = 10_000  # characters of what could not be read
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class Spoken(NamedTuple):
    """One utterance of a transcript, every value still text; or a rejected row with its problem and content.

    Attributes:
        row: 1 for the file's first.
        audio: a recording of this utterance alone.
    """

    row: int
    start_s: str | None = None
    end_s: str | None = None
    speaker: str | None = None
    text: str | None = None
    emotion: str | None = None
    audio: str | None = None
    problem: str | None = None
    content: str | None = None


_SPOKEN = {**dict.fromkeys(Spoken._fields, pl.String), "row": pl.Int64}


class Unreadable(Exception):
    """A whole file that cannot be read: the reason, in words for its row, and its content as far as it is known."""

    def __init__(self, reason: str, content: str = "") -> None:
        super().__init__(reason)
        self.content = content


def read_text(file: SourceFile) -> str:
    """Read a file as UTF-8, or as UTF-16 with its byte order mark; an undecodable byte becomes half a surrogate pair.

    Raises:
        Unreadable: the file is too large, or is not text.
    """
    if file.size > LARGEST:
        raise Unreadable(f"is larger than {LARGEST >> 20} MB")
    fs, path = file.filesystem
    raw = fs.cat_file(path)
    wide = raw.startswith(_UTF16)
    text = str(raw.decode("utf-16" if wide else "utf-8-sig", errors="replace" if wide else "surrogateescape"))
    if "\0" in text:
        raise Unreadable("is not text", text)
    return text


def rejected(row: int, problem: str, content: object) -> Spoken:
    """Make the row of an utterance that cannot be read, with its content as JSON."""
    shown = content[:_SHOWN] if isinstance(content, str) else content
    return Spoken(row, problem=problem, content=json.dumps(shown))


def conversation(file: SourceFile, name: str, spoken: Iterable[Spoken], split: str | None = None) -> pl.DataFrame:
    """Lay a conversation out as a source's batch (`tasks.sources.base.Source.batches`); rejected rows take no turn.

    Args:
        file: its recordings are those of every utterance that has none of its own.
        name: the conversation's id.
        spoken: in any order; they are sorted and numbered by their start, one without behind the one before it.
        split: of every row.
    """
    number = pl.col("start_s").cast(pl.Float64, strict=False)
    start = pl.when(pl.col("problem").is_null() & number.is_finite()).then(number)
    rows = pl.DataFrame(list(spoken), schema=_SPOKEN, orient="row").sort("row")
    ordered = rows.sort(pl.col("problem").is_not_null(), start.forward_fill().backward_fill(), "row", nulls_last=True)
    columns = {
        "conversation_id": pl.lit(name),
        "turn": pl.int_range(pl.len()).cast(pl.String),
        "audio": pl.coalesce("audio", pl.lit(file.audio, pl.String)),
        "video": pl.lit(file.video, pl.String),
        "split": pl.lit(split, pl.String),
    }
    absent = {column: pl.lit(None, pl.String) for column in CANONICAL if column not in {*columns, *_SPOKEN}}
    return ordered.with_columns(**columns, **absent).select(*ROW)


def unreadable(file: SourceFile, error: Unreadable) -> pl.DataFrame:
    """Make the one row of a file that cannot be read."""
    return conversation(file, stem(file), [rejected(1, str(error), error.content)])


def stem(file: SourceFile) -> str:
    """Name a file's conversation: its path below the source's folder, without the ending."""
    return file.name.rpartition(".")[0]
