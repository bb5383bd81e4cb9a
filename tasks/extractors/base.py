"""The interface of an extractor: utterances and their media to one vector of fixed size each.

A spec is cheap to make and to ask: only `ExtractorSpec.load` loads a model, in the worker that uses it.
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
from tasks.extractors.media.channels import MEAN
from tasks.extractors.media.files import MediaRoot
from tasks.storage.manifest import fingerprint


@dataclass(frozen=True)
class Extracted:
    """Features of N utterances.

    Attributes:
        vectors: (N, C) float32; rows that are not valid may hold anything.
        valid: (N,) whether the utterance has a vector.
        reasons: for each utterance why it has none, or what its vector was made without; None where nothing is to be
            said, or the utterance simply lacks the modality.
        seconds: (N,) of media that were read, 0 where unknown; None where the modality has no length.
    """

    vectors: npt.NDArray[np.float32]
    valid: npt.NDArray[np.bool_]
    reasons: list[str | None]
    seconds: npt.NDArray[np.float64] | None = None

    @classmethod
    def none(cls, rows: int, dim: int) -> "Extracted":
        """Make the result of ``rows`` utterances before any is described: no vector, no reason."""
        return cls(np.zeros((rows, dim), np.float32), np.zeros(rows, bool), [None] * rows, np.zeros(rows))

    def put(self, rows: int | list[int], vectors: npt.NDArray[np.floating]) -> None:
        """Set the vectors of some rows and mark these as valid."""
        self.vectors[rows], self.valid[rows] = vectors, True

    def put_all(self, rows: list[int], part: "Extracted") -> None:
        """Set the results of some rows, with and without a vector."""
        self.vectors[rows], self.valid[rows] = part.vectors, part.valid
        for row, reason in zip(rows, part.reasons, strict=True):
            self.reasons[row] = reason


class Extractor(Protocol):
    """A loaded extractor. An utterance's vector does not depend on the others of the call."""

    def __call__(self, utterances: pa.Table, media: MediaRoot) -> Extracted:
        """Describe utterances, rows of `tasks.archive.schema.UTTERANCES`, whose URIs are relative to ``media``."""
        ...


@dataclass(frozen=True)
class ExtractorSpec:
    """Description of an extractor, known without loading it.

    Attributes:
        name: as in a configuration.
        dim: length C of a vector.
        licence: of the model or engine behind it.
        code: version of our own code, raised when its vectors change.
        packages: the installed packages whose versions decide the vectors.
        loader: "module:function" below `tasks.extractors`; the function takes ``argument`` and returns an `Extractor`.
        resources: of one worker, unless the configuration sets them.
        identity: decides the vectors in place of the name, where the name is that of a file which may change.
        reads: what an utterance's vector depends on: it alone, or its whole conversation.
        storage: number format of the stored vectors.
        channels: of a recording that are described, as `tasks.extractors.media.channels` writes them.
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
    channels: str = MEAN

    @property
    def fingerprint(self) -> str:
        """Hash of everything that decides the vectors: equal exactly when they are computed in the same way."""
        versions = [f"{package} {version(package)}" for package in self.packages]
        computed = fingerprint(self.identity or self.name, self.dim, self.code, versions)
        for value, default in ((self.storage, "float32"), (self.channels, MEAN)):
            computed = computed if value == default else fingerprint(computed, value)
        return computed

    def load(self) -> Extractor:
        """Import the extractor's module and load its model."""
        module, function = self.loader.split(":")
        loaded: Extractor = getattr(import_module(module), function)(self.argument)
        return loaded
