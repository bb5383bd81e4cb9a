"""What an extractor is: media to one vector of fixed size for each utterance.

What is known of one is cheap to ask: a model is loaded by `ExtractorSpec.load` alone, in the worker that uses it.
"""

from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import version
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sdt_model.config import Modality
from tasks.config.stages import Resources, Storage
from tasks.extractors.media.files import MediaRoot
from tasks.storage.manifest import fingerprint


@dataclass(frozen=True)
class Extracted:
    """Features of N utterances.

    Attributes:
        vectors: (N, C) float32; what stands where there is none does not matter.
        valid: (N,) whether there is a vector.
        reasons: for each utterance why there is none, or None where it is valid or simply has no such modality.
        seconds: (N,) of media that were read; 0 where that is not known, None where nothing has a length.
    """

    vectors: npt.NDArray[np.float32]
    valid: npt.NDArray[np.bool_]
    reasons: list[str | None]
    seconds: npt.NDArray[np.float64] | None = None

    @classmethod
    def none(cls, rows: int, dim: int) -> "Extracted":
        """No vector yet, and nothing wrong yet."""
        return cls(np.zeros((rows, dim), np.float32), np.zeros(rows, bool), [None] * rows, np.zeros(rows))

    def put(self, rows: int | list[int], vectors: npt.NDArray[np.floating]) -> None:
        self.vectors[rows], self.valid[rows] = vectors, True

    def put_all(self, rows: list[int], made: "Extracted") -> None:
        """What was made of some of the rows, with and without a vector."""
        self.vectors[rows], self.valid[rows] = made.vectors, made.valid
        for row, reason in zip(rows, made.reasons, strict=True):
            self.reasons[row] = reason


class Extractor(Protocol):
    """A loaded extractor. An utterance's vector does not depend on the others of the call."""

    def __call__(self, utterances: pa.Table, media: MediaRoot) -> Extracted:
        """``utterances``: rows of `tasks.archive.schema.UTTERANCES`."""
        ...


@dataclass(frozen=True)
class ExtractorSpec:
    """What is known of an extractor without loading it.

    Attributes:
        name: as in a configuration.
        dim: length C of a vector.
        licence: of the model or engine behind it.
        code: version of our own code; raised when the vectors it gives change.
        packages: the installed packages that decide the vectors.
        loader: "module:function" below `tasks.extractors`; the function takes ``argument`` and returns an `Extractor`.
        resources: what a worker asks for, unless the configuration says otherwise.
        identity: what decides the vectors in the name's place, where the name is that of a file which may change.
        reads: what decides an utterance's vector: it alone, or its whole conversation.
        storage: how its vectors are kept.
    """

    name: str
    modality: Modality
    dim: int
    licence: str
    code: int
    packages: tuple[str, ...]
    loader: str
    argument: str = field(default="")
    resources: Resources = field(default_factory=Resources)
    identity: str = ""
    reads: Literal["utterance", "conversation"] = "utterance"
    storage: Storage = "float32"

    @property
    def fingerprint(self) -> str:
        """Equal exactly when the vectors are made in the same way."""
        versions = [f"{package} {version(package)}" for package in self.packages]
        made = fingerprint(self.identity or self.name, self.dim, self.code, versions)
        return made if self.storage == "float32" else fingerprint(made, self.storage)

    def load(self) -> Extractor:
        """Load the model, here and now."""
        module, function = self.loader.split(":")
        loaded: Extractor = getattr(import_module(module), function)(self.argument)
        return loaded
