"""Histograms of oriented gradients over an utterance's frames: a classic descriptor, with no weights and no licence."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tasks.extractors import HOG_DIM, Extracted, Extractor
from tasks.extractors.each import PICTURES, describe_each
from tasks.extractors.media import MediaFault, MediaFile, MediaRoot, Span, container, frames, seconds, track

Vector = npt.NDArray[np.float32]
_SIDE = 64  # pixels
_PER_SECOND = 4.0
_MOST_FRAMES = 16
_SIDES = (16, 8192)  # pixels; a frame outside costs more memory than it is worth


def load(_: str) -> Extractor:
    """The descriptor; there is nothing to load."""
    return Hog()


class Hog:
    """Mean and deviation over frames of HOG: 8 orientations, cells of 16 pixels, blocks of 2 x 2, on 64 x 64 grey."""

    def __call__(self, utterances: pa.Table, media: MediaRoot) -> Extracted:
        return describe_each(utterances, PICTURES, media, self._describe, HOG_DIM)

    def _describe(self, file: MediaFile, _: str, stretch: Span) -> Vector:
        with container(file) as opened:
            described = [_gradients(_square(frame)) for frame in sampled(opened, stretch, _PER_SECOND, _MOST_FRAMES)]
        return np.concatenate([np.mean(described, axis=0), np.std(described, axis=0)]).astype(np.float32)


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


def _square(frame: Any) -> npt.NDArray[np.uint8]:
    """The middle of the frame as it is shown, scaled so that its shorter side is `_SIDE`."""
    scale = _SIDE / min(frame.width, frame.height)
    width, height = max(_SIDE, round(frame.width * scale)), max(_SIDE, round(frame.height * scale))
    grey: npt.NDArray[np.uint8] = frame.reformat(width, height, "gray").to_ndarray()
    top, left = (height - _SIDE) // 2, (width - _SIDE) // 2
    return upright(grey[top : top + _SIDE, left : left + _SIDE], frame)


def _gradients(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    from skimage.feature import hog  # what only samples pictures does without

    described: npt.NDArray[np.float64] = hog(image, orientations=8, pixels_per_cell=(16, 16), cells_per_block=(2, 2))
    return described
