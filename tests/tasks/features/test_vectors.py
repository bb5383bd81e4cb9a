from typing import get_args

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tasks.config.stages import Storage
from tasks.features.vectors import decoded, encoded, finite_rows, vectors_of
from tasks.storage.workspace import Workspace
from tests.fixtures.vectors import vector_table

FLOATS = st.floats(width=32, allow_nan=False)


@given(arrays(np.float32, (3, 4), elements=FLOATS))
def test_what_is_stored_in_16_bits_is_rounded_as_torch_rounds(vectors: np.ndarray) -> None:
    for storage, kind in (("float16", torch.float16), ("bfloat16", torch.bfloat16)):
        expected = torch.from_numpy(vectors).to(kind).float().numpy()
        np.testing.assert_array_equal(decoded(encoded(vectors, storage)), expected)
    np.testing.assert_array_equal(decoded(encoded(vectors, "float32")), vectors)


@pytest.mark.parametrize("storage", get_args(Storage))
def test_some_rows_are_read_where_they_are_wanted(storage: Storage) -> None:
    values = np.arange(24, dtype=np.float32).reshape(8, 3)
    valid = np.array([True, False] * 4)
    table, out = vector_table(values, valid, storage), np.full((5, 3), 7, np.float32)
    _, present = vectors_of(table, np.array([6, 1, 2]), out[1:4])
    assert present.tolist() == [True, False, True]
    assert out.tolist() == [[7] * 3, [18, 19, 20], [0] * 3, [6, 7, 8], [7] * 3]


def test_rows_of_numbers_are_told_from_others_also_where_their_sum_is_none() -> None:
    large = float(np.finfo(np.float32).max)
    rows = np.array([[large, large], [np.nan, 0], [1, 2], [np.inf, -np.inf]], np.float32)
    assert finite_rows(rows).tolist() == [True, False, True, False] and finite_rows(rows[:0]).tolist() == []


def test_polars_shows_them_as_the_readme_says(workspace: Workspace) -> None:
    workspace.write_table("x.parquet", vector_table([[1, 2, 3], [4, 5, 6]], np.array([True, False])))
    shown = pl.scan_parquet(workspace.path("x.parquet")).with_columns(
        pl.col("vector").bin.reinterpret(dtype=pl.Array(pl.Float32, 3), endianness="little")
    )
    assert shown.collect()["vector"].to_list() == [[1, 2, 3], None]
