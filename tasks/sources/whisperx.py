"""WhisperX transcripts: JSON with segments, words and speakers beside the recording, one conversation a file."""

import json
import math
from collections.abc import Iterator
from typing import Any

import polars as pl

from tasks.sources.base import SourceFile, find_files, is_unicode
from tasks.sources.null_values import WORDS
from tasks.sources.recordings import with_recordings
from tasks.sources.transcript import Spoken, Unreadable, conversation, read_text, rejected, stem, unreadable

EXPECTED = "a JSON file with `segments`, or a folder of them, as WhisperX writes beside the recordings"
_TYPES: dict[str, type | tuple[type, ...]] = {"text": str, "speaker": (str, int, float), "words": list}


class WhisperX:
    """Reader of WhisperX files: a segment is an utterance; its speaker may be that of its words, if they agree."""

    def files(self, path: str, media_root: str | None) -> list[SourceFile]:
        return with_recordings(find_files(path, (".json",), EXPECTED), path, media_root)

    def batches(self, file: SourceFile, media_root: str | None) -> Iterator[pl.DataFrame]:  # noqa: ARG002
        try:
            spoken = [_spoken(row, segment) for row, segment in enumerate(_segments(read_text(file)), start=1)]
        except Unreadable as error:
            yield unreadable(file, error)
        except RecursionError:
            yield unreadable(file, Unreadable("is JSON nested without end"))
        else:
            yield conversation(file, stem(file), spoken)


def _segments(text: str) -> list[Any]:
    try:
        document = json.loads(text, parse_constant=_constant)
    except ValueError as error:
        raise Unreadable(f"is not JSON: {error}", text) from error
    segments = document.get("segments") if isinstance(document, dict) else None
    if not isinstance(segments, list):
        raise Unreadable("is not a JSON object with a list of `segments`", text)
    return segments


def _spoken(row: int, segment: Any) -> Spoken:
    problem = _problem(segment)
    if problem is not None:
        return rejected(row, problem, segment)
    words = [word for word in segment.get("words") or () if isinstance(word, dict)]
    # A word that could not be aligned has no times, and a segment may be without them for the same reason.
    start = _time(segment.get("start"), *(word.get("start") for word in words))
    end = _time(segment.get("end"), *(word.get("end") for word in reversed(words)))
    speakers = {name for word in words if (name := _speaker(word.get("speaker"))) is not None}
    speaker = _first(_speaker(segment.get("speaker")), *(speakers if len(speakers) == 1 else ()))
    text = (segment.get("text") or "").strip()
    without = next((name for name, time in (("start", start), ("end", end)) if not _is_number(time)), None)
    if without and not text:
        return rejected(row, f"segment has no {without}", segment)
    if not is_unicode(f"{speaker}{text}"):
        return rejected(row, "is not valid Unicode", segment)
    return Spoken(row, start, end, speaker, text)


def _problem(segment: Any) -> str | None:
    if not isinstance(segment, dict):
        return f"segment is a JSON {type(segment).__name__}, not an object"
    odd = (
        f"segment's {name} is a JSON {type(segment[name]).__name__}"
        for name, kind in _TYPES.items()
        if segment.get(name) is not None and not isinstance(segment[name], kind)
    )
    return next(odd, None)


def _constant(name: str) -> float | None:
    """Read what JSON has no word for: NaN is what pandas writes for no value."""
    return None if name == "NaN" else float(name)


def _time(own: Any, *of_words: Any) -> str:
    """Write a segment's time, or else a word's, as text.

    Where no number is, what stands in its place is written: ingest counts it as a time that cannot be read, which costs
    the utterance its media and not its text.
    """
    texts = (value if isinstance(value, str) else json.dumps(value) for value in (own, *of_words))
    return next(filter(_is_number, texts), json.dumps(own))


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _speaker(value: Any) -> str | None:
    """Name a speaker; one that became a float on the way is the integer that it was."""
    name = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    return None if value is None or name in WORDS else name


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)
