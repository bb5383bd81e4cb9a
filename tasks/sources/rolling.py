"""Captions that roll or are painted on: each line is shown again and again, and was spoken once.

Live and automatic captions show the line before above the new one, hold it in a cue of ten milliseconds, or let a line
grow word by word. A file is taken for such only where most of its cues repeat what stood before.
"""

import re
from dataclasses import dataclass, replace
from itertools import pairwise

_GAP_S = 1.0  # a longer pause clears the screen: what is shown after it is spoken again
_HOLD_S = 0.1  # no one speaks in so short a cue
_WORD_TIME = re.compile(r"<(?:(\d+):)?(\d{1,2}):(\d{2}\.\d{3})>")


@dataclass(frozen=True)
class Cue:
    """One cue, its times as text in seconds.

    Attributes:
        row: 1 for the file's first.
        lines: as written.
        words: the same without tags; an empty one where nothing is left.
        as_read: the whole cue.
    """

    row: int
    start: str
    end: str
    lines: tuple[str, ...]
    words: tuple[str, ...]
    as_read: str

    @property
    def seconds(self) -> float:
        return float(self.end) - float(self.start)

    def filled(self) -> "Cue":
        """The cue without its empty lines."""
        pairs = [pair for pair in zip(self.lines, self.words, strict=True) if pair[1]]
        return replace(self, lines=tuple(line for line, _ in pairs), words=tuple(words for _, words in pairs))


def spoken_once(cues: list[Cue]) -> list[Cue]:
    """The cues with every line once where the captions roll; else as they are."""
    filled = [cue.filled() for cue in cues]
    if not _rolls(filled):
        return cues
    spoken: list[Cue] = []
    shown: Cue | None = None
    for cue in filled:
        repeated, grown = _repeated(shown, cue)
        if grown and spoken:  # the line is still being spoken
            last = spoken[-1]
            lines, words = (*last.lines[:-1], cue.lines[repeated - 1]), (*last.words[:-1], cue.words[repeated - 1])
            spoken[-1] = replace(last, lines=lines, words=words, end=cue.end)
        if cue.words[repeated:]:
            new = replace(cue, lines=cue.lines[repeated:], words=cue.words[repeated:])
            spoken.append(replace(new, start=_first_word(new)))
        shown = cue
    return [_ended(cue, after) for cue, after in zip(spoken, [*spoken[1:], None], strict=True)]


def _rolls(cues: list[Cue]) -> bool:
    pairs = list(pairwise(cues))
    repeats = [(before, cue) for before, cue in pairs if _repeated(before, cue)[0]]
    sure = [cue for before, cue in repeats if cue.seconds <= _HOLD_S or cue.words != before.words]
    word_times = any(_WORD_TIME.search(line) for cue in cues for line in cue.lines)
    return 2 * len(repeats) >= len(pairs) and len(sure) >= (1 if word_times else 2)


def _repeated(before: Cue | None, cue: Cue) -> tuple[int, bool]:
    """How many of a cue's first lines were the last ones of the cue before, and whether the last of them has grown."""
    if before is None or not before.words or not -_GAP_S * 60 <= float(cue.start) - float(before.end) <= _GAP_S:
        return 0, False
    for count in range(min(len(before.words), len(cue.words)), 0, -1):
        old, new = before.words[-count:], cue.words[:count]
        timed = any(_WORD_TIME.search(line) for line in cue.lines[:count])  # words with times are being spoken
        if old == new and not timed:
            return count, False
        if old[:-1] == new[:-1] and new[-1] != old[-1] and new[-1].startswith(old[-1]):
            return count, True
    return 0, False


def _first_word(cue: Cue) -> str:
    """When a cue's first word is spoken, if it has a time of its own."""
    match = _WORD_TIME.match(cue.lines[0].lstrip())
    if match is None:
        return cue.start
    hours, minutes, seconds = match.groups()
    time = 3600 * int(hours or 0) + 60 * int(minutes) + float(seconds)
    return f"{time:.3f}" if float(cue.start) <= time < float(cue.end) else cue.start


def _ended(cue: Cue, after: Cue | None) -> Cue:
    """End a line where the next begins: it is still shown then, and no longer spoken."""
    if after is None or not float(cue.start) < float(after.start) < float(cue.end):
        return cue
    return replace(cue, end=after.start)
