"""Text vectors of a tiny encoder: what its library gives for each text by itself."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tasks.extractors.base import Extracted
from tasks.extractors.hf.options import TextOptions
from tasks.extractors.media.files import MediaRoot
from tasks.extractors.registry import extractor_spec
from tasks.extractors.text.hf import HfText
from tests.fixtures.encoders.pretrained import WIDTH, tiny_text
from tests.fixtures.media import utterances

TEXTS = ["no", "", "what do you mean", "no", "a" * 40, "no way " * 30]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_text(tmp_path_factory.mktemp("text") / "tiny")


def embed(tiny: Path, options: str, *texts: str | None) -> Extracted:
    extractor = extractor_spec("text", f"hf:{tiny}{options}").load()
    return extractor(utterances(*({"text": text} for text in texts)), MediaRoot("memory://none"))


def by_hand(tiny: Path, text: str, pooling: str, layers: int) -> NDArray[np.float32]:
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(tiny), AutoModel.from_pretrained(tiny).eval()
    with torch.inference_mode():
        inputs = tokenizer(text, return_tensors="pt", truncation=True, max_length=62)
        states = torch.stack(model(**inputs, output_hidden_states=True).hidden_states[-layers:]).mean(dim=0)[0]
    return (states[0] if pooling == "cls" else states.mean(dim=0)).numpy()


@pytest.mark.long
@pytest.mark.parametrize(("pooling", "layers"), [("mean", 1), ("cls", 1), ("mean", 3), ("cls", 2)])
def test_states_are_pooled_as_asked_and_each_text_by_itself(tiny: Path, pooling: str, layers: int) -> None:
    found = embed(tiny, f"?pooling={pooling}&layers={layers}", *TEXTS)
    assert found.vectors.shape == (len(TEXTS), WIDTH) and found.vectors.dtype == np.float32 and found.valid.all()
    for text, vector in zip(TEXTS, found.vectors, strict=True):
        assert np.abs(vector - by_hand(tiny, text, pooling, layers)).max() < 1e-5
    assert np.abs(found.vectors[0] - found.vectors[2]).max() > 1e-2


def test_a_vector_does_not_depend_on_the_others(tiny: Path) -> None:
    many = [f"{'yes ' * (n % 13)}{chr(97 + n % 26)}" for n in range(300)]
    found = embed(tiny, "", *many)
    for row in (0, 7, 150, 299):
        assert np.abs(embed(tiny, "", many[row]).vectors[0] - found.vectors[row]).max() < 1e-5


def test_a_null_text_has_no_vector_and_no_reason(tiny: Path) -> None:
    found = embed(tiny, "", None, "yes", None)
    assert found.valid.tolist() == [False, True, False] and found.reasons == [None] * 3
    assert not embed(tiny, "", None).valid.any() and embed(tiny, "").vectors.shape == (0, WIDTH)


def test_only_as_many_tokens_as_asked_are_read(tiny: Path) -> None:
    long, short = embed(tiny, "?tokens=8", "a b c d e f g h i j k", "a b c d e f").vectors
    assert np.abs(long - short).max() < 1e-5


def test_half_precision_is_close(tiny: Path) -> None:
    half = HfText(tiny, TextOptions(tokens=62), "float16")
    found = half(utterances(*({"text": text} for text in TEXTS)), MediaRoot("memory://none"))
    assert np.abs(found.vectors - embed(tiny, "", *TEXTS).vectors).max() < 0.02


@pytest.mark.long
def test_minilm_under_this_name_is_minilm_before_its_length_is_taken_away() -> None:
    rows, media = utterances(*({"text": text} for text in TEXTS)), MediaRoot("memory://none")
    raw, unit = (extractor_spec("text", name).load()(rows, media).vectors for name in ("hf:minilm", "minilm"))
    assert np.abs(raw / np.linalg.norm(raw, axis=1, keepdims=True) - unit).max() < 1e-4
