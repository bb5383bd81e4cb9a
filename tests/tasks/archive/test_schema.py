import pyarrow as pa
import pytest

from tasks.archive.schema import REJECTED, conform
from tasks.errors import WorkflowError

GOOD = {"file": ["f"], "row": [1], "reason": ["r"], "content": ["{}"]}


def test_a_table_that_keeps_the_contract_passes() -> None:
    assert conform(pa.table(GOOD), REJECTED, "x").schema == REJECTED


def test_a_mismatch_shows_both_sides() -> None:
    wrong = pa.table({**GOOD, "row": ["1"], "more": [1]})
    with pytest.raises(
        WorkflowError,
        match=r"(?s)shard 7: .*expected but not there: row int64.*there but not expected: row string, more int64",
    ):
        conform(wrong, REJECTED, "shard 7")


def test_a_null_where_none_may_be_is_refused() -> None:
    with pytest.raises(WorkflowError, match="column reason must not be null, and is in 1 rows"):
        conform(pa.table({**GOOD, "reason": pa.array([None], pa.string())}), REJECTED, "x")
