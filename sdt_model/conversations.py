"""Conversations as NumPy arrays: what is read of an archive, and what batches are packed from. Imports no torch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sdt_model.config import Modality

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Conversations:
    """Conversations laid end to end; the arrays may be memory-mapped.

    Attributes:
        features: for each modality (N, C), zeros where absent.
        present: (M, N), in the order of ``features``.
        speaker: (N,) order of appearance in the conversation; -1 where unknown.
        label: (N,) class, -1 where not annotated.
        offset: (conversations + 1,) where each begins; the last is N.
    """

    features: dict[Modality, Floats]
    present: Bools
    speaker: Ints
    label: Ints
    offset: Ints

    @property
    def lengths(self) -> Ints:
        """Utterances in each conversation."""
        return np.diff(self.offset)

    def rows(self, chosen: Sequence[int]) -> Ints:
        """The utterances of the chosen conversations, in their order."""
        return np.concatenate([np.arange(self.offset[i], self.offset[i + 1]) for i in chosen])
