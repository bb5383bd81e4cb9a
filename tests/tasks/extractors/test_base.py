"""Specs whose fingerprints follow what decides a vector, and results that are put together."""

from dataclasses import replace
from importlib.metadata import version
from typing import Any

import numpy as np
import pytest

from tasks.extractors import base
from tasks.extractors.base import Extracted
from tasks.extractors.registry import extractor_spec


def test_the_fingerprint_is_equal_for_equal_specs_and_follows_what_decides_a_vector() -> None:
    spec = extractor_spec("audio", "opensmile:eGeMAPSv02")
    changes: list[dict[str, Any]] = [
        {}, {"name": "opensmile:other"}, {"code": spec.code + 1}, {"dim": spec.dim + 1}, {"packages": ("opensmile",)},
        {"storage": "float16"},
    ]  # fmt: skip
    prints = {replace(spec, **change).fingerprint for change in changes}
    assert len(prints) == len(changes) and spec.fingerprint in prints
    assert replace(spec, licence="another", loader="elsewhere:load").fingerprint == spec.fingerprint
    assert extractor_spec("audio", "opensmile:eGeMAPSv02").fingerprint == spec.fingerprint


def test_the_fingerprint_follows_a_package_s_version(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = extractor_spec("visual", "hog")
    before = spec.fingerprint
    monkeypatch.setattr(base, "version", lambda package: version(package) + ".post1")
    assert spec.fingerprint != before


def test_nothing_is_valid_or_wrong_before_it_is_described() -> None:
    extracted = Extracted.none(2, 3)
    assert extracted.vectors.shape == (2, 3) and extracted.vectors.dtype == np.float32
    assert not extracted.valid.any() and extracted.reasons == [None, None]


def test_rows_that_are_put_are_valid_and_a_part_brings_its_reasons() -> None:
    extracted = Extracted.none(4, 2)
    extracted.put(3, np.array([7.0, 8.0]))
    part = Extracted.none(2, 2)
    part.put([1], np.array([[1.0, 2.0]]))
    part.reasons[0] = "no such file"
    extracted.put_all([2, 0], part)
    assert extracted.valid.tolist() == [True, False, False, True]
    assert extracted.vectors[[0, 3]].tolist() == [[1, 2], [7, 8]]
    assert extracted.reasons == [None, None, "no such file", None]
