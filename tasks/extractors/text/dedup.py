"""Encoding each distinct text once: short replies repeat often."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tasks.extractors.base import Extracted


def encode_distinct(
    texts: pa.ChunkedArray, encode: Callable[[list[str]], npt.NDArray[np.float32]], dim: int
) -> Extracted:
    """Compute the vectors (N, ``dim``) of the texts that are not null.

    Args:
        texts: of N utterances.
        encode: from T distinct texts to vectors (T, C), each independent of the others.
        dim: length C of a vector.
    """
    extracted = Extracted.none(len(texts), dim)
    distinct = texts.combine_chunks().drop_null().dictionary_encode()
    if len(distinct):
        rows = np.flatnonzero(texts.is_valid().to_numpy())
        extracted.put(rows.tolist(), encode(distinct.dictionary.to_pylist())[distinct.indices.to_numpy()])
    return extracted
