import numpy as np
import pyarrow as pa
import pytest

from tasks.archive.schema import features_schema
from tasks.config.stages import Storage
from tasks.errors import WorkflowError
from tasks.extractors.base import Extracted
from tasks.features.table import NOT_FINITE, TOO_LARGE, feature_rows
from tasks.features.vectors import vectors_of
from tests.fixtures.media import utterances
from tests.fixtures.vectors import vector_lists, vector_table


def test_every_utterance_has_a_row_and_what_has_no_vector_has_none_whatever_stood_there() -> None:
    made = Extracted(np.full((3, 2), np.nan, np.float32), np.zeros(3, bool), [None, "no such file", None])
    made.put(0, np.array([1.0, 2.0]))
    table, counts = feature_rows(utterances({"text": "a"}, {"text": "b"}, {}), made, 2, "x.parquet")
    assert table.schema == features_schema(2)
    assert vector_lists(table) == [[1.0, 2.0], None, None]
    assert table["reason"].to_pylist() == [None, "no such file", None]
    assert counts == {"rows": 3, "present": 1, "failed": 1, "absent": 1}


def test_half_precision_keeps_what_it_can_and_names_what_it_cannot() -> None:
    made = Extracted(
        np.array([[1, 0.1], [65_519, 0], [-65_520, 0], [1e9, 0]], np.float32), np.ones(4, bool), [None] * 4
    )
    made.valid[3], made.reasons[3] = False, "no such file"
    keys = [bytes([row] * 16) for row in range(4)]
    table, counts = feature_rows(utterances({}, {}, {}, {}), made, 2, "x.parquet", keys, "float16")
    assert table.schema == features_schema(2, "float16") and table["made_from"].to_pylist() == keys
    assert table["reason"].to_pylist() == [None, None, TOO_LARGE.format("float16"), "no such file"]
    assert counts == {"rows": 4, "present": 2, "failed": 2, "absent": 0}
    vectors, valid = vectors_of(table)
    assert vectors.dtype == np.float32 and valid.tolist() == [True, True, False, False]
    np.testing.assert_array_equal(vectors, [[1, np.float16(0.1)], [65_504, 0], [0, 0], [0, 0]])


def test_vectors_come_back_from_a_part_of_a_table_and_from_pieces() -> None:
    made = Extracted.none(5, 3)
    made.put([0, 2, 3], np.arange(9).reshape(3, 3))
    table = feature_rows(utterances(*[{}] * 5), made, 3, "x.parquet")[0]
    whole = [[0, 1, 2], [0, 0, 0], [3, 4, 5], [6, 7, 8], [0, 0, 0]]
    pieces = pa.concat_tables([table.slice(0, 2), table.slice(2)])
    for part, expected in ((table, whole), (table.slice(1, 3), whole[1:4]), (pieces, whole), (table[:0], [])):
        vectors, valid = vectors_of(part)
        assert valid.tolist() == [any(vector) for vector in expected] and vectors.tolist() == expected
    assert vectors_of(pieces, np.array([3, 1]))[0].tolist() == [[6, 7, 8], [0, 0, 0]]


@pytest.mark.parametrize("storage", ["float32", "float16"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_vector_that_is_no_number_is_none_and_says_why(storage: Storage, value: float) -> None:
    made = Extracted(np.array([[1, 2], [3, value], [value, -value]], np.float32), np.ones(3, bool), [None] * 3)
    table, counts = feature_rows(utterances({}, {}, {}), made, 2, "x.parquet", storage=storage)
    assert vector_lists(table) == [[1, 2], None, None]
    assert table["reason"].to_pylist() == [None, NOT_FINITE, NOT_FINITE] and counts["failed"] == 2


def test_a_stored_one_is_read_as_none_and_large_numbers_are_numbers() -> None:
    large = float(np.finfo(np.float32).max)
    rows = [[1.0, np.nan], [large, large], None, [np.inf, 0.0]]
    listed = pa.table({"vector": pa.array(rows, pa.list_(pa.float32(), 2))})  # as earlier versions stored them
    stored = vector_table([row or [0, 0] for row in rows], np.array([row is not None for row in rows]))
    for table in (listed, stored):
        vectors, valid = vectors_of(table)
        assert valid.tolist() == [False, True, False, False] and vectors.tolist()[1] == [large, large]
        assert np.isfinite(vectors).all()


def spread(offset: float, deviation: float, rows: int = 200) -> Extracted:
    vectors = np.random.default_rng(0).standard_normal((rows, 3)).astype(np.float32)
    vectors[:, 1] = offset + deviation * vectors[:, 1]
    return Extracted(vectors, np.ones(rows, bool), [None] * rows)


@pytest.mark.parametrize(
    ("offset", "deviation", "rows"),
    [(1000, 0.1, 200), (1000, 0.1, 12), (-60_000, 5, 200), (1, 1e-4, 200)],
)
def test_float16_is_refused_where_it_leaves_few_values(offset: float, deviation: float, rows: int) -> None:
    made = spread(offset, deviation, rows)
    with pytest.raises(
        WorkflowError, match=r"x.parquet: float16 leaves [1-8] of \d+ values of dimension 1, and too few of 1 "
    ):
        feature_rows(utterances(*[{}] * rows), made, 3, "x.parquet", storage="float16")
    table, _ = feature_rows(utterances(*[{}] * rows), made, 3, "x.parquet")
    assert len(set(vectors_of(table)[0][:, 1].tolist())) >= rows // 4


@pytest.mark.parametrize(
    ("offset", "deviation", "rows"),
    [(0, 1, 500), (1000, 5, 500), (1000, 0, 200), (1000, 1e-4, 200), (1000, 0.1, 5), (0, 1e-9, 99)],
)
def test_float16_is_taken_where_it_tells_them_apart_and_where_nothing_varies(
    offset: float, deviation: float, rows: int
) -> None:
    made = spread(offset, deviation, rows)
    assert feature_rows(utterances(*[{}] * rows), made, 3, "x.parquet", storage="float16")[1]["present"] == rows


def test_float16_is_refused_where_every_value_is_smaller_than_it_knows() -> None:
    made = Extracted(spread(0, 1).vectors * np.float32(1e-9), np.ones(200, bool), [None] * 200)
    with pytest.raises(WorkflowError, match="float16 leaves 1 of 200 values of dimension 0, and too few of 3 of 3"):
        feature_rows(utterances(*[{}] * 200), made, 3, "x.parquet", storage="float16")


def test_a_reason_beside_a_vector_is_kept_and_counted_apart() -> None:
    made = Extracted(np.ones((3, 2), np.float32), np.array([True, True, False]), ["half of it", None, "no such file"])
    table, counts = feature_rows(utterances({}, {}, {}), made, 2, "x.parquet")
    assert counts == {"rows": 3, "present": 2, "failed": 1, "absent": 0, "partial": 1}
    assert table["reason"].to_pylist() == ["half of it", None, "no such file"]
    assert table["vector"].is_valid().to_pylist() == [True, True, False]
