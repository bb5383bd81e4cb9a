"""Video frames, evenly spaced over an utterance's stretch."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.extractors.media.container import frames, seconds, track
from tasks.extractors.media.opened import MediaFile
from tasks.extractors.media.span import Absent, MediaFault, Span

_STILL_S = 1.0  # a longer recording with one picture has no moving one
_TOLERANCE_S = 0.25  # of a span without pictures that needs no word
_ENDS_APART_S = 1.0  # likewise of a whole recording, whose tracks may end apart
_SIDES = (16, 8192)  # pixels; a frame outside costs more memory than it is worth


def sampled(file: MediaFile, opened: Any, stretch: Span, per_second: float, most: int) -> Iterator[Any]:
    """Yield the first frame after each of evenly spaced times, as wide as it is shown.

    What pictures a stretch lacks is said in ``file.notes``.

    Args:
        file: the open file.
        opened: a PyAV container over it.
        stretch: in seconds.
        per_second: times a second, fewer where they would come to more than ``most``.
        most: frames at most.

    Raises:
        Absent: the file holds no picture but a cover, or a single one.
        MediaFault: the stretch has no frame, or one is too small or too large.
    """
    stream = track(opened, "video")
    length = seconds(opened) or 0.0
    if stream.frames == 1 and length > _STILL_S:
        raise Absent("no video track but a still picture")
    _check_size(stream)
    end = length if stretch.end is None else stretch.end
    step = max(1 / per_second, (end - stretch.start) / most)
    seen = _Seen()
    for time, frame in frames(opened, stream, stretch, seen.end):
        seen.pass_by(time, _shown_for(frame, stream))
        if time >= stretch.start + seen.count * step:
            shown = _widened(frame, stream.sample_aspect_ratio)
            _check_size(shown)
            seen.take(shown)
            yield shown
        if seen.count == most:
            break
    if seen.alone(length):
        raise Absent("no video track but a still picture")
    if not seen.count:
        raise MediaFault(f"no frame in the span from {stretch.start:g} s")
    file.notes.extend(seen.notes(stretch.start, end, _ENDS_APART_S if stretch.end is None else _TOLERANCE_S))


class _Seen:
    """What is known of a stretch's pictures.

    Attributes:
        count: of those that were taken.
    """

    def __init__(self) -> None:
        self.count = 0
        self._begin: float | None = None
        self._end, self._ended = 0.0, False
        self._first, self._same = b"", True
        self._passed = 0

    def pass_by(self, time: float, shown_for: float) -> None:
        """Count a frame's time in, whether it is taken or not."""
        self._begin = time if self._begin is None else self._begin
        self._passed += 1
        self._end = time + shown_for

    def alone(self, length: float) -> bool:
        """Whether the track has a single picture in a recording that goes on without it."""
        return self._ended and self._passed == 1 and length - self._end > _STILL_S

    def end(self) -> None:
        """Note that no other frame follows."""
        self._ended = True

    def take(self, frame: Any) -> None:
        """Count a frame in that is described."""
        plane = bytes(frame.planes[0]) if self._same else b""
        self._first = self._first or plane
        self._same = self._same and plane == self._first
        self.count += 1

    def notes(self, start: float, end: float, tolerance: float) -> Iterator[str]:
        """Say what a stretch lacks of pictures, if it is more than the tolerance in seconds, and whether none moves."""
        missing = max(0.0, (self._begin or 0.0) - start) + (max(0.0, end - self._end) if self._ended else 0.0)
        if missing > tolerance:
            yield f"pictures of {end - start - missing:.2f} s, and not of the {end - start:.2f} s asked for"
        if self._same and self.count > 1:
            yield f"a still picture, {self.count} times the same"


def _shown_for(frame: Any, stream: Any) -> float:
    """Seconds that a frame is shown, as it says or as frames of the track are on average."""
    if frame.duration and frame.time_base:
        return float(frame.duration * frame.time_base)
    return float(1 / stream.average_rate) if stream.average_rate else 0.0


def _widened(frame: Any, aspect: Any) -> Any:
    """Scale a frame whose pixels are not square (DV, DVD, PAL) to its width on the screen."""
    if not aspect or aspect == 1:
        return frame
    return frame.reformat(width=max(1, round(frame.width * aspect)))


def upright(picture: npt.NDArray[np.uint8], frame: Any) -> npt.NDArray[np.uint8]:
    """Turn a picture as players show it: an upright phone stores lying pictures with a note to turn them."""
    return np.rot90(picture, frame.rotation // 90)


def _check_size(picture: Any) -> None:
    """Refuse sizes that cost more memory than they are worth, of a track or of a frame, which may differ from it."""
    if not all(_SIDES[0] <= side <= _SIDES[1] for side in (picture.width, picture.height)):
        raise MediaFault(
            f"frames of {picture.width} x {picture.height} pixels; "
            f"a side between {_SIDES[0]} and {_SIDES[1]} can be described"
        )
