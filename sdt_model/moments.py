"""Mean and deviation of vectors that arrive in parts, in one pass and in memory that does not grow with them."""

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]


class Moments:
    """Running sums (C,) of vectors and of their squares, in double precision.

    They are taken around an origin, so that the squares of a large constant offset do not drown the spread.
    """

    def __init__(self, dim: int, origin: Doubles | None = None) -> None:
        """``dim``: C; ``origin``: (C,), absent: the first vector that is added."""
        self.count = 0
        self._origin = origin
        self._total, self._squares = np.zeros((2, dim))

    def add(self, vectors: npt.NDArray[np.floating]) -> None:
        """Count vectors (N, C) in; N may be 0."""
        if not len(vectors):
            return
        if self._origin is None:
            self._origin = vectors[0].astype(np.float64)
        shifted = vectors.astype(np.float64) - self._origin
        self.count += len(vectors)
        self._total += shifted.sum(axis=0)
        self._squares += np.square(shifted).sum(axis=0)

    @property
    def mean(self) -> Doubles:
        """(C,); zeros where no vector was added."""
        centre = self._total / max(self.count, 1)
        return centre if self._origin is None else centre + self._origin

    @property
    def variance(self) -> Doubles:
        """(C,), divided by the count; zeros where no vector was added."""
        centre = self._total / max(self.count, 1)
        return np.asarray(np.maximum(self._squares / max(self.count, 1) - np.square(centre), 0))

    @property
    def deviation(self) -> Doubles:
        """(C,): the square root of the variance."""
        return np.sqrt(self.variance)
