"""Subtitles beside a recording: SubRip (.srt) and WebVTT (.vtt), a conversation a file and an utterance a cue.

Existing parsers skip a cue that they cannot read, or invent its times; here it becomes a rejected row.

The speaker comes from WebVTT's voice tag, `<v Ann>`, or from the beginning of a cue's text, if only one of its lines
begins so: `[Ann]:`, `Speaker 1:`, `SPEAKER_01:`, or a name in capitals before text that is not, `ANN: Hello`, all of
them also after a dash. `Ann: Hello` may as well be a sentence, and stays one.
"""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import polars as pl

from tasks.sources.base import SourceFile, find_files, is_unicode
from tasks.sources.recordings import with_recordings
from tasks.sources.rolling import Cue, spoken_once
from tasks.sources.transcript import Spoken, Unreadable, conversation, read_text, rejected, stem, unreadable

_TIME = r"(?:(\d{1,4}):)?([0-5]\d):([0-5]\d)[.,](\d{3})"
_TIMING = re.compile(rf"\s*{_TIME}\s*-->\s*{_TIME}(?:\s.*)?", re.ASCII)
_TAG = re.compile(r"</?[A-Za-z][^<>]*>|<[\d:.]+>|\{\\[^{}]*\}")
_VOICE = re.compile(r"<v(?:\.[^\s<>]*)?[ \t]+([^<>]+)>")
_DASH = re.compile(r"\s*[-‐‑–—]\s*")
_NAMED = re.compile(r"(?:\[([^\[\]:]{1,40})\]|(speaker[ _]?\d{1,3})|([^:\[\]]{1,30})):\s+(.*)", re.IGNORECASE)
_NO_CUE = re.compile(r"NOTE(?:\s.*)?|(?:STYLE|REGION)\s*")


@dataclass(frozen=True)
class Subtitles:
    """Reader of one format. A cue is a line of times, below a number or a name, and text; an empty line ends it."""

    kind: Literal["srt", "vtt"]

    def files(self, path: str, media_root: str | None) -> list[SourceFile]:
        files = find_files(path, (f".{self.kind}",), f"a .{self.kind} file, or a folder of them")
        return with_recordings(files, path, media_root)

    def batches(self, file: SourceFile, media_root: str | None) -> Iterator[pl.DataFrame]:  # noqa: ARG002
        try:
            text = read_text(file)
            blocks = _blocks(text) if self.kind == "srt" else _vtt_blocks(text)
        except Unreadable as error:
            yield unreadable(file, error)
        else:
            cues = [_cue(row, block) for row, block in enumerate(blocks, start=1)]
            rows = [cue for cue in cues if isinstance(cue, Spoken)]
            rows += map(_spoken, spoken_once([cue for cue in cues if isinstance(cue, Cue)]))
            yield conversation(file, stem(file), rows)


def _blocks(text: str) -> list[list[str]]:
    """Split a text into groups of lines at the empty ones.

    A line of blanks is an empty one only before a cue: automatic captions have it in the place of a line that is not
    spoken yet. What follows an empty line is the cue's own where the cue has no other text.
    """
    lines = re.split(r"\r\n|\r|\n", text)
    before_cue, blocks = _before_cue(lines), list[list[str]]([[]])
    for line, ends in zip(lines, before_cue, strict=True):
        if line.strip() or (line and blocks[-1] and not ends):
            blocks[-1].append(line)
        elif blocks[-1] and (ends or _has_text(blocks[-1])):
            blocks.append([])
    return [block for block in blocks if block]


def _has_text(block: list[str]) -> bool:
    """Whether something stands below a cue's times, or there are none."""
    return "-->" not in next(line for line in reversed(block) if line.strip())


def _before_cue(lines: list[str]) -> list[bool]:
    """Whether what follows each line, after blank ones, begins a cue or is no part of one."""
    found, ends = [], True
    for at in range(len(lines) - 1, -1, -1):
        found.append(ends)
        if lines[at].strip():
            ends = any("-->" in line for line in lines[at : at + 2]) or _NO_CUE.fullmatch(lines[at]) is not None
    return found[::-1]


def _vtt_blocks(text: str) -> list[list[str]]:
    """Split a WebVTT text likewise, without its heading, notes and styles.

    Raises:
        Unreadable: the text does not begin as WebVTT does.
    """
    if not re.match(r"WEBVTT(?:\s|$)", text):
        raise Unreadable("does not begin with WEBVTT", text)
    header, *blocks = _blocks(text)
    cues = [block for block in blocks if _timed(block) or not _NO_CUE.fullmatch(block[0])]
    return [header[1:], *cues] if _timed(header[1:]) else cues


def _timed(block: list[str]) -> bool:
    return any("-->" in line for line in block[:2])


def _cue(row: int, block: list[str]) -> Cue | Spoken:
    """Read a cue, or say in a rejected row why it cannot be read."""
    as_read = "\n".join(block)
    at = next((i for i, line in enumerate(block[:2]) if "-->" in line), None)
    if at is None:
        return rejected(row, "has no times, such as 00:00:01,000 --> 00:00:02,000, in its first two lines", as_read)
    times = _TIMING.fullmatch(block[at])
    if times is None:
        return rejected(row, f"times {block[at].strip()[:60]!a} are not 00:00:01,000 --> 00:00:02,000", as_read)
    lines = tuple(block[at + 1 :])
    if any(_TIMING.fullmatch(line) for line in lines):
        return rejected(row, "has two lines of times: the empty line between two cues is missing", as_read)
    if not is_unicode(as_read):
        return rejected(row, "is not valid UTF-8", as_read)
    parts = times.groups()
    return Cue(row, _seconds(*parts[:4]), _seconds(*parts[4:]), lines, tuple(map(_words, lines)), as_read)


def _spoken(cue: Cue) -> Spoken:
    speaker, text = _speaker_and_words(cue)
    return Spoken(cue.row, cue.start, cue.end, speaker, text)


def _words(line: str) -> str:
    return html.unescape(_TAG.sub("", line)).strip()


def _seconds(hours: str | None, minutes: str, seconds: str, thousandths: str) -> str:
    return f"{3600 * int(hours or 0) + 60 * int(minutes) + int(seconds)}.{thousandths}"


def _speaker_and_words(cue: Cue) -> tuple[str | None, str]:
    """Separate the speaker, where the cue names one and has one voice, from the words."""
    voices = {html.unescape(name).strip() for line in cue.lines for name in _VOICE.findall(line)}
    plain = list(filter(None, cue.words))
    named = _named(plain[0]) if plain else None
    others = any(_DASH.match(line) or _named(line) for line in plain[1:])
    if voices or named is None or others:
        return voices.pop() if len(voices) == 1 else None, " ".join(plain)
    return named[0], " ".join([named[1], *plain[1:]]).strip()


def _named(line: str) -> tuple[str, str] | None:
    """Split a line into the speaker that it begins with and the rest; None where it names no speaker."""
    match = _NAMED.fullmatch(_DASH.sub("", line, count=1) if _DASH.match(line) else line)
    if match is None:
        return None
    bracketed, numbered, name, rest = match.groups()
    if name is None:
        return (bracketed or numbered).strip(), rest
    # Where everything is in capitals a name looks like a sentence.
    return (name.strip(), rest) if name.isupper() and len(name.split()) <= 3 and not rest.isupper() else None


def srt() -> Subtitles:
    """SubRip."""
    return Subtitles("srt")


def vtt() -> Subtitles:
    """WebVTT."""
    return Subtitles("vtt")
