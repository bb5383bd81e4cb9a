import numpy as np
import pyarrow as pa

from tasks.extractors.text.dedup import encode_distinct


def test_each_text_is_encoded_once_and_no_text_has_no_vector() -> None:
    asked: list[list[str]] = []

    def lengths(texts: list[str]) -> np.ndarray:
        asked.append(texts)
        return np.array([[len(text), 1] for text in texts], np.float32)

    found = encode_distinct(pa.chunked_array([["yes", None], ["no", "yes"]]), lengths, 2)
    assert asked == [["yes", "no"]]
    assert found.vectors.tolist() == [[3, 1], [0, 0], [2, 1], [3, 1]]
    assert found.valid.tolist() == [True, False, True, True] and found.reasons == [None] * 4


def test_where_there_is_no_text_nothing_is_encoded() -> None:
    found = encode_distinct(pa.chunked_array([pa.nulls(2, pa.string())]), lambda _: 1 / 0, 3)
    assert found.vectors.shape == (2, 3) and not found.valid.any()
