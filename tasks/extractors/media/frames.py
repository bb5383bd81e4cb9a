"""Video frames, evenly spaced over an utterance's stretch."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.extractors.media.container import frames, seconds, track
from tasks.extractors.media.files import MediaFault, Span

_SIDES = (16, 8192)  # pixels; a frame outside costs more memory than it is worth


def sampled(opened: Any, stretch: Span, per_second: float, most: int) -> Iterator[Any]:
    """Yield the first frame after each of evenly spaced times.

    Args:
        opened: a PyAV container.
        per_second: times a second, fewer where they would come to more than ``most``.
        most: frames at most.

    Raises:
        MediaFault: the stretch has no frame, or one is too small or too large.
    """
    stream = track(opened, "video")
    _check_size(stream)
    end = seconds(opened) if stretch.end is None else stretch.end
    step = max(1 / per_second, ((end or 0.0) - stretch.start) / most)
    count = 0
    for time, frame in frames(opened, stream, stretch):
        if time >= stretch.start + count * step:
            count += 1
            _check_size(frame)
            yield frame
        if count == most:
            return
    if not count:
        raise MediaFault(f"no frame in the span from {stretch.start:g} s")


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
