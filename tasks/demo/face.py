"""A drawn face whose brows, eyes and mouth follow the emotion, moving from rest to its full expression.

Every shape is a soft mask over all frames at once, painted one over the other; the face's build, place and light
are the speaker's, and the camera adds noise.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from tasks.demo.script import Shown

SIZE = 96  # pixels, both sides
FRAME_RATE = 9  # a second
_FRAMES = 9

# Columns: mouth curve (+ smiles), mouth opening, mouth width, brow height, brow slope (+ inner ends up),
# eye opening, nose wrinkle.
_EXPRESSIONS = {
    "neutral": (0.0, 0.1, 1.0, 0.0, 0.0, 1.0, 0.0),
    "joy": (1.0, 0.4, 1.3, 0.15, 0.0, 0.75, 0.0),
    "sadness": (-0.8, 0.05, 0.85, 0.1, 0.9, 0.65, 0.0),
    "anger": (-0.5, 0.2, 1.0, -0.7, -1.0, 0.85, 0.4),
    "surprise": (0.1, 1.0, 0.75, 1.0, 0.1, 1.5, 0.0),
    "fear": (-0.5, 0.5, 1.1, 0.8, 0.8, 1.4, 0.0),
    "disgust": (-0.7, 0.15, 0.8, -0.5, -0.4, 0.5, 1.0),
}
_SPREAD = np.array([0.18, 0.1, 0.08, 0.2, 0.22, 0.12, 0.15])  # of each column between two utterances

_Track = NDArray[np.floating[Any]]  # (T, 1, 1): one value a frame
_Mask = NDArray[np.floating[Any]]  # (T, H, W) in 0..1


@dataclass(frozen=True)
class Face:
    """What stays the same in one speaker's picture; lengths in pixels, colours in 0..1."""

    centre: tuple[float, float]
    width: float
    height: float
    eye_distance: float
    brow_weight: float
    skin: NDArray[np.float32]
    hair: NDArray[np.float32]
    wall: NDArray[np.float32]


def draw_face(rng: np.random.Generator) -> Face:
    skin = np.array([0.93, 0.76, 0.64]) * rng.uniform(0.6, 1.03) + rng.normal(0, 0.02, 3)
    return Face(
        centre=(float(48 + rng.normal(0, 1.5)), float(51 + rng.normal(0, 1.5))),
        width=float(rng.uniform(27, 32)),
        height=float(rng.uniform(36, 40)),
        eye_distance=float(rng.uniform(11.5, 14)),
        brow_weight=float(rng.uniform(1.3, 2.2)),
        skin=skin.astype(np.float32),
        hair=(np.array([0.32, 0.22, 0.14]) * rng.uniform(0.3, 2.2)).astype(np.float32),
        wall=rng.uniform(0.45, 0.85, 3).astype(np.float32),
    )


def film(face: Face, shown: Shown, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Frames (T, SIZE, SIZE, 3), RGB."""
    neutral = np.array(_EXPRESSIONS["neutral"])
    apex = neutral + shown.strength * (np.array(_EXPRESSIONS[shown.emotion]) - neutral) + rng.normal(0, _SPREAD)
    onset = np.clip(np.linspace(rng.uniform(0.2, 0.6), 1.4, _FRAMES), 0, 1)
    parameters = neutral + onset[:, None] * (apex - neutral)
    parameters[:, 1] += 0.25 * np.abs(np.sin(np.arange(_FRAMES) * 1.9 + rng.uniform(0, 6)))  # it is talking
    x, y = (_drift(rng, place) for place in face.centre)
    frames = _paint_face(face, x, y, [_track(column) for column in parameters.T])
    noise = 0.03 * rng.standard_normal((*frames.shape[:3], 1), np.float32)
    return np.asarray((255 * np.clip(frames * np.float32(rng.uniform(0.85, 1.1)) + noise, 0, 1)).astype(np.uint8))


def write_mp4(path: Path, frames: NDArray[np.uint8]) -> None:
    """H.264 without a sound track; one thread, so that the same frames give the same bytes."""
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream(
            "libx264", rate=FRAME_RATE, options={"preset": "ultrafast", "crf": "28", "threads": "1"}
        )
        stream.width = stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def _track(values: NDArray[np.float64]) -> _Track:
    return values.astype(np.float32)[:, None, None]


def _drift(rng: np.random.Generator, place: float) -> _Track:
    """A head that is never quite still."""
    return _track(place + rng.normal(0, 0.8) + np.cumsum(rng.normal(0, 0.25, _FRAMES)))


class _Patch:
    """A window of the frames that shapes are painted into; coordinates are those of the whole picture."""

    def __init__(self, frames: NDArray[np.float32], top: int = 0, left: int = 0) -> None:
        self.frames = frames  # (T, H, W, 3), painted in place
        self.top, self.left = top, left
        self.rows = np.arange(top, top + frames.shape[1], dtype=np.float32)[:, None]
        self.columns = np.arange(left, left + frames.shape[2], dtype=np.float32)

    def window(self, x: _Track, y: _Track, half_width: int, half_height: int) -> "_Patch":
        """The part around a place: shapes that fit into it cost a fraction."""
        top, left = max(0, int(y.mean()) - half_height), max(0, int(x.mean()) - half_width)
        part = self.frames[:, top : top + 2 * half_height, left : left + 2 * half_width]
        return _Patch(part, top, left)

    def paint(self, mask: _Mask, colour: NDArray[np.float32] | tuple[float, float, float]) -> None:
        self.frames += mask[..., None] * (np.asarray(colour, np.float32) - self.frames)

    def ellipse(self, x: _Track, y: _Track, width: _Track | float, height: _Track | float) -> _Mask:
        from_centre = np.sqrt(((self.columns - x) / width) ** 2 + ((self.rows - y) / height) ** 2)
        return _soft((1 - from_centre) * np.minimum(width, height))

    def stroke(
        self, x: _Track, y: _Track, half: _Track | float, slope: _Track | float, bend: _Track | float,
        weight: _Track | float,
    ) -> _Mask:  # fmt: skip
        """A line of half length ``half`` around (x, y); ``slope`` and ``bend`` say how far its ends lie below.

        ``weight`` is half its thickness in the middle; it thins towards the ends.
        """
        along = (self.columns - x) / half
        away = np.abs(self.rows - y - slope * along - bend * along**2)
        thickness = weight * np.sqrt(np.maximum(1 - along**2, 0))
        return _soft(thickness - away) * _soft((1 - np.abs(along)) * half)


def _soft(inside: _Mask) -> _Mask:
    """A mask from the distance in pixels to a shape's edge, positive inside."""
    return np.asarray(np.clip(inside + 0.5, 0, 1))


def _paint_face(face: Face, x: _Track, y: _Track, parameters: list[_Track]) -> NDArray[np.float32]:
    """Frames (T, SIZE, SIZE, 3) in 0..1 of a head at (x, y)."""
    curve, opening, width, raised, slope, eyes, wrinkle = parameters
    picture = _Patch(np.broadcast_to(face.wall, (_FRAMES, SIZE, SIZE, 3)).copy())
    picture.paint(picture.ellipse(x, y - 5, face.width + 4, face.height + 4), face.hair)
    picture.paint(picture.ellipse(x, y + 3, face.width, face.height - 2), face.skin)
    for side in (-1, 1):
        at = x + side * face.eye_distance
        _paint_eye(picture.window(at, y - 11, 12, 16), face, at, y - 7, eyes)
        brow = picture.window(at, y - 17, 12, 14)
        mask = brow.stroke(at, y - 16.5 - 4 * raised, 7, side * 3.2 * slope, 1.2, face.brow_weight)
        brow.paint(mask, face.hair * 0.7)
    _paint_nose(picture.window(x, y + 5, 16, 14), face, x, y, np.clip(wrinkle, 0, 1))
    _paint_mouth(picture.window(x, y + 21, 20, 17), face, x, y + 20, curve, np.maximum(opening, 0), width)
    return picture.frames


def _paint_eye(patch: _Patch, face: Face, x: _Track, y: _Track, opening: _Track) -> None:
    lid = np.maximum(3.4 * opening, 0.6)
    white = patch.ellipse(x, y, 5.6, lid)
    patch.paint(patch.ellipse(x, y, 6.4, lid + 0.9), face.skin * 0.5)
    patch.paint(white, (0.96, 0.96, 0.95))
    patch.paint(np.minimum(white, patch.ellipse(x, y, 2.6, 2.6)), (0.12, 0.1, 0.1))


def _paint_nose(patch: _Patch, face: Face, x: _Track, y: _Track, wrinkle: _Track) -> None:
    patch.paint(patch.stroke(x, y + 9, 3.8, 0, -1.5, 1.1), face.skin * 0.72)
    for height in (-3.5, -0.5, 2.5):
        patch.paint(wrinkle * patch.stroke(x, y + height, 4, 0, 1.2, 0.9), face.skin * 0.5)
    for side in (-1, 1):
        patch.paint(wrinkle * patch.stroke(x + side * 9, y + 10, 4, side * 3, 0, 1), face.skin * 0.7)


def _paint_mouth(
    patch: _Patch, face: Face, x: _Track, y: _Track, curve: _Track, opening: _Track, width: _Track
) -> None:
    half, bend, gape = 10 * width, -5 * curve, 7 * opening  # the ends of a smile lie above its middle
    middle = y - bend / 2
    lips = patch.stroke(x, middle, half, 0, bend, gape + 1.8)
    patch.paint(lips, face.skin * np.array([0.85, 0.5, 0.5], np.float32))
    patch.paint(patch.stroke(x, middle, half - 1.5, 0, bend, gape - 0.5), (0.25, 0.06, 0.07))
