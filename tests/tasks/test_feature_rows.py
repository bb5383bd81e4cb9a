import numpy as np

from tasks.extractors import Extracted
from tasks.feature_rows import feature_rows
from tasks.schema import features_schema
from tests.tasks.extractors.made import utterances


def test_every_utterance_has_a_row_and_what_has_no_vector_has_none_whatever_stood_there() -> None:
    made = Extracted(np.full((3, 2), np.nan, np.float32), np.zeros(3, bool), [None, "no such file", None])
    made.put(0, np.array([1.0, 2.0]))
    table, counts = feature_rows(utterances({"text": "a"}, {"text": "b"}, {}), made, 2, "x.parquet")
    assert table.schema == features_schema(2)
    assert table["vector"].to_pylist() == [[1.0, 2.0], None, None]
    assert table["reason"].to_pylist() == [None, "no such file", None]
    assert counts == {"rows": 3, "present": 1, "failed": 1, "absent": 1}
