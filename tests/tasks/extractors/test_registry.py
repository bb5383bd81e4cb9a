"""The registry: names, and what is known of an extractor without loading it."""

import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import pytest

from sdt_model.config import MODALITIES, Modality
from tasks.config.stages import ExtractorNames
from tasks.errors import WorkflowError
from tasks.extractors.base import ExtractorSpec
from tasks.extractors.registry import OPENSMILE_DIMS, chosen_spec, extractor_spec, register
from tasks.storage.workspace import Workspace

HEAVY = ("torch", "openvino", "transformers", "opensmile", "soundfile", "av", "skimage", "ray")


def constant(argument: str) -> ExtractorSpec:
    return ExtractorSpec(f"constant:{argument}", "text", 3, "none", 1, ("numpy",), f"{__name__}:load", argument)


def load(argument: str) -> Any:
    return lambda *_: f"loaded with {argument}"


@pytest.mark.parametrize("modality", MODALITIES)
def test_every_default_has_a_spec_of_its_own_name_and_modality(modality: Modality) -> None:
    name = ExtractorNames().of(modality)
    spec = extractor_spec(modality, name)
    assert (spec.name, spec.modality) == (name, modality)
    assert spec.dim > 0 and spec.licence and find_spec(spec.loader.partition(":")[0])


@pytest.mark.parametrize("feature_set", OPENSMILE_DIMS)
def test_every_opensmile_set_by_its_name(feature_set: str) -> None:
    spec = extractor_spec("audio", f"opensmile:{feature_set}")
    assert (spec.name, spec.dim) == (f"opensmile:{feature_set}", OPENSMILE_DIMS[feature_set])


@pytest.mark.parametrize(
    ("modality", "name", "there"),
    [
        ("text", "minilm:foo", "minilm"),
        ("text", "hog", "minilm"),
        ("text", "", "minilm"),
        ("audio", "opensmile:nope", "eGeMAPSv02, GeMAPSv01b"),
        ("audio", "opensmile", "eGeMAPSv02, GeMAPSv01b"),
        ("audio", "wav2vec", "opensmile"),
        ("visual", "hog:", "hog"),
        ("visual", "HOG", "hog"),
    ],
)
def test_an_unknown_name_is_refused_with_those_that_there_are(modality: Modality, name: str, there: str) -> None:
    with pytest.raises(WorkflowError, match=rf"(?s){name.rpartition(':')[2]}.*\n  there: {there}"):
        extractor_spec(modality, name)


def test_a_registered_extractor_is_found_by_its_prefix_and_loads_with_its_argument() -> None:
    register("text", "constant", constant)
    spec = extractor_spec("text", "constant:seven")
    assert spec.load()(None, None) == "loaded with seven"
    with pytest.raises(WorkflowError, match="there: minilm, minilm-int8, hf, constant"):
        extractor_spec("text", "another")
    with pytest.raises(WorkflowError, match="no audio extractor"):
        extractor_spec("audio", "constant:seven")


def test_a_configuration_s_extractor_has_the_storage_that_it_names() -> None:
    register("text", "constant", constant)
    names = ExtractorNames(text="constant:two", storage="float16")
    spec = chosen_spec("text", names, Workspace("x"))
    assert spec == replace(constant("two"), storage="float16")


def test_the_registry_and_its_specs_import_nothing_heavy() -> None:
    code = f"""
import sys
from tasks.extractors.registry import extractor_spec
specs = [extractor_spec("text", "minilm"), extractor_spec("audio", "opensmile:IS09"), extractor_spec("visual", "hog")]
assert len({{spec.fingerprint for spec in specs}}) == 3
print([name for name in {HEAVY} if name in sys.modules])
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
