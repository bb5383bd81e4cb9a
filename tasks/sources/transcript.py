"""A transcript: one file is one conversation, its utterances are numbered in the order of time.

A file that cannot be read costs itself alone: it is one row, rejected with its reason.
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
    """One utterance of a transcript, every value still text; or what stands in its place, with the problem."""

    row: int
    """1 for the file's first."""
    start_s: str | None = None
    end_s: str | None = None
    speaker: str | None = None
    text: str | None = None
    emotion: str | None = None
    audio: str | None = None
    """A recording of this utterance alone."""
    problem: str | None = None
    content: str | None = None


_SPOKEN = {**dict.fromkeys(Spoken._fields, pl.String), "row": pl.Int64}


class Unreadable(Exception):
    """Why a whole file cannot be read, in words for its row, and what it holds as far as is known."""

    def __init__(self, reason: str, content: str = "") -> None:
        super().__init__(reason)
        self.content = content


def read_text(file: SourceFile) -> str:
    """A file's text: UTF-8, or UTF-16 with its mark; a byte that is neither becomes half a surrogate pair.

    Raises:
        Unreadable: it is too large, or no text.
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
    """What stands in the place of an utterance that cannot be read; its content is kept as JSON."""
    shown = content[:_SHOWN] if isinstance(content, str) else content
    return Spoken(row, problem=problem, content=json.dumps(shown))


def conversation(file: SourceFile, name: str, spoken: Iterable[Spoken], split: str | None = None) -> pl.DataFrame:
    """A conversation as a source's batch (`tasks.sources.Source.batches`); a rejected row takes no turn."""
    start = pl.col("start_s").cast(pl.Float64, strict=False)
    ordered = pl.DataFrame(list(spoken), schema=_SPOKEN, orient="row").sort(
        pl.col("problem").is_not_null(), start, "row", nulls_last=True
    )
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
    """The one row of a file that cannot be read."""
    return conversation(file, stem(file), [rejected(1, str(error), error.content)])


def stem(file: SourceFile) -> str:
    """What a file's conversation is called: its name below the source's folder, without the ending."""
    return file.name.rpartition(".")[0]
