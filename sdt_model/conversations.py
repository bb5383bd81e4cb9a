"""Conversations as NumPy arrays: what is read of an archive, and what batches are packed from. Imports no torch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sdt_model.config import MODALITIES, Modality

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Conversations:
    """Conversations laid end to end; the arrays may be memory-mapped.

    Modalities may be given in any order, and stand in that of `MODALITIES` afterwards: a model reads them by name.

    Attributes:
        features: for each modality (N, C); what stands where it is absent is not read.
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

    def __post_init__(self) -> None:
        if len(self.present) != len(self.features):
            raise ValueError(f"present has {len(self.present)} rows, and the modalities are {', '.join(self.features)}")
        names = list(self.features)
        ordered = [name for name in MODALITIES if name in self.features]
        if names != ordered:
            object.__setattr__(self, "features", {name: self.features[name] for name in ordered})
            object.__setattr__(self, "present", self.present[[names.index(name) for name in ordered]])

    @property
    def lengths(self) -> Ints:
        """Utterances in each conversation."""
        return np.diff(self.offset)

    def rows(self, chosen: Sequence[int]) -> Ints:
        """The utterances of the chosen conversations, in their order."""
        return np.concatenate([np.arange(self.offset[i], self.offset[i + 1]) for i in chosen])
