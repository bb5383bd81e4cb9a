"""Histograms of oriented gradients over an utterance's frames: a classic descriptor, with no weights and no licence."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tasks.extractors.base import Extracted, Extractor
from tasks.extractors.loop import PICTURES, describe_each
from tasks.extractors.media.container import container
from tasks.extractors.media.files import MediaRoot
from tasks.extractors.media.frames import sampled, upright
from tasks.extractors.media.opened import MediaFile
from tasks.extractors.media.span import Span
from tasks.extractors.registry import HOG_DIM

Vector = npt.NDArray[np.float32]
_SIDE = 64  # pixels
_PER_SECOND = 4.0
_MOST_FRAMES = 16


def load(_: str) -> Extractor:
    """Make the descriptor; there is nothing to load."""
    return Hog()


class Hog:
    """Mean and deviation (576,) over frames of HOG: 8 orientations, 16-pixel cells, blocks of 2 x 2, 64 x 64 grey."""

    def __call__(self, utterances: pa.Table, media: MediaRoot) -> Extracted:
        return describe_each(utterances, PICTURES, media, self._describe, HOG_DIM)

    def _describe(self, file: MediaFile, _: str, stretch: Span) -> Vector:
        with container(file) as opened:
            described = [
                _gradients(_square(frame)) for frame in sampled(file, opened, stretch, _PER_SECOND, _MOST_FRAMES)
            ]
        return np.concatenate([np.mean(described, axis=0), np.std(described, axis=0)]).astype(np.float32)


def _square(frame: Any) -> npt.NDArray[np.uint8]:
    """Scale a frame, as it is shown, so that its shorter side is `_SIDE`, and crop its middle."""
    scale = _SIDE / min(frame.width, frame.height)
    width, height = max(_SIDE, round(frame.width * scale)), max(_SIDE, round(frame.height * scale))
    grey: npt.NDArray[np.uint8] = frame.reformat(width, height, "gray").to_ndarray()
    top, left = (height - _SIDE) // 2, (width - _SIDE) // 2
    return upright(grey[top : top + _SIDE, left : left + _SIDE], frame)


def _gradients(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    from skimage.feature import hog  # what only samples pictures does without

    described: npt.NDArray[np.float64] = hog(image, orientations=8, pixels_per_cell=(16, 16), cells_per_block=(2, 2))
    return described
