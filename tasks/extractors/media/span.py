"""A stretch of a recording, and the reasons why it cannot be read.

A `MediaFault` is something wrong with a file: it costs the utterance its vector, and its reason is stored. A store
that does not answer is no fault of the file, and its error goes up.
"""

import math
from dataclasses import dataclass

MAX_SECONDS = 600.0


class MediaFault(Exception):
    """A reason why an utterance's media cannot be used, in words for its row."""


class PastTheEnd(MediaFault):
    """A stretch in which the recording holds nothing: nothing is wrong with the file."""


class Absent(MediaFault):
    """What a recording is simply without: the utterance lacks the modality, and nothing is to be said of it."""


@dataclass(frozen=True)
class Span:
    """A stretch of a recording in seconds; without ``end``, up to the recording's."""

    start: float
    end: float | None

    @property
    def limit(self) -> float:
        """Time at which decoding stops; without ``end``, a recording that reaches it is too long."""
        return self.start + MAX_SECONDS if self.end is None else self.end

    def too_long(self) -> MediaFault:
        return MediaFault(f"longer than {MAX_SECONDS:g} s from {self.start:g} s on")

    def past_the_end(self) -> MediaFault:
        return PastTheEnd(f"span starts at {self.start:g} s, past the end" if self.start else "holds nothing")


def span(start_s: float | None, end_s: float | None) -> Span:
    """Check an utterance's times and make them a stretch.

    Raises:
        MediaFault: the span is negative, empty, reversed or longer than the limit.
    """
    start, end = start_s or 0.0, math.inf if end_s is None else end_s
    if not 0 <= start < end:
        raise MediaFault(f"span {start:g}-{'' if end_s is None else f'{end:g}'} s is negative, empty or reversed")
    if end_s is not None and end - start > MAX_SECONDS:
        raise MediaFault(f"span of {end - start:g} s is longer than {MAX_SECONDS:g} s")
    return Span(start, end_s)
