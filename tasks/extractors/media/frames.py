"""Frames of a film, evenly spaced over an utterance's stretch of it."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.extractors.media.container import frames, seconds, track
from tasks.extractors.media.files import MediaFault, Span

_SIDES = (16, 8192)  # pixels; a frame outside costs more memory than it is worth


def sampled(opened: Any, stretch: Span, per_second: float, most: int) -> Iterator[Any]:
    """The frames nearest after evenly spaced times, which lie further apart where there would be more than ``most``.

    Raises:
        MediaFault: there is none, or one is too small or too large.
    """
    stream = track(opened, "video")
    _check_size(stream)
    end = seconds(opened) if stretch.end is None else stretch.end
    step = max(1 / per_second, ((end or 0.0) - stretch.start) / most)
    taken = 0
    for time, frame in frames(opened, stream, stretch):
        if time >= stretch.start + taken * step:
            taken += 1
            _check_size(frame)
            yield frame
        if taken == most:
            return
    if not taken:
        raise MediaFault(f"no frame in the span from {stretch.start:g} s")


def upright(picture: npt.NDArray[np.uint8], frame: Any) -> npt.NDArray[np.uint8]:
    """As it is shown: a phone held upright films lying pictures and notes that they are to be turned."""
    return np.rot90(picture, frame.rotation // 90)


def _check_size(picture: Any) -> None:
    """A track says its size before anything is decoded, but a frame may differ from it."""
    if not all(_SIDES[0] <= side <= _SIDES[1] for side in (picture.width, picture.height)):
        raise MediaFault(
            f"frames of {picture.width} x {picture.height} pixels; "
            f"a side between {_SIDES[0]} and {_SIDES[1]} can be described"
        )
