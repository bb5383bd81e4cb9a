"""Values on their way through software without a null for integers: the same in JSON and Parquet."""

import datetime
import decimal
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.errors import WorkflowError
from tests.fixtures.sources.tables import read_rows

NAN, INF = float("nan"), float("inf")
NAMING = ("conversation_id", "turn", "speaker", "emotion", "split")


def write(folder: Path, ending: str, column: str, values: list[Any], kind: pa.DataType | None = None) -> Path:
    key = {"conversation_id": ["c"] * len(values), "turn": list(range(len(values)))}
    columns = key | {column: values}
    path = folder / f"x.{ending}"
    if ending == "parquet":
        arrays = {name: pa.array(v, kind if name == column else None) for name, v in columns.items()}
        pq.write_table(pa.table(arrays), path)
    else:
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("ending", ["parquet", "jsonl"])
@pytest.mark.parametrize("column", [*NAMING, "text", "audio", "video", "start_s", "end_s", "occurred_at"])
def test_a_float_that_is_not_a_number_is_no_value_in_any_column(tmp_path: Path, ending: str, column: str) -> None:
    rows = read_rows(write(tmp_path, ending, column, [NAN, 7.0, None], pa.float64()))
    assert [row[column] for row in rows] in ([None, "7", None], [None, "7.0", None])
    assert [row["no_value"] for row in rows] == [[column], [], []] and not any(row["problem"] for row in rows)


@pytest.mark.parametrize("ending", ["parquet", "jsonl"])
@pytest.mark.parametrize("column", NAMING)
def test_integers_that_became_floats_are_integers_again(tmp_path: Path, ending: str, column: str) -> None:
    values = [0.0, -0.0, 3.0, 1e5, 1e13, 1e15, 2.0**53 - 1, 123456789012345.0, 1.5]
    rows = read_rows(write(tmp_path, ending, column, values, pa.float64()))
    whole = ["0", "0", "3", "100000", "10000000000000", "1000000000000000", "9007199254740991", "123456789012345"]
    assert [row[column] for row in rows] == [*whole, "1.5"] and not any(row["problem"] for row in rows)


@pytest.mark.parametrize("ending", ["parquet", "jsonl"])
@pytest.mark.parametrize("value", [2.0**53, 1e16, -1e16, 1e300, INF, -INF])
def test_a_float_that_may_have_lost_digits_names_nothing(tmp_path: Path, ending: str, value: float) -> None:
    rows = read_rows(write(tmp_path, ending, "conversation_id", [value, 5.0], pa.float64()))
    assert rows[0]["problem"].startswith("column conversation_id holds ") and rows[1]["conversation_id"] == "5"
    assert "2 ** 53" in rows[0]["problem"] or "infinite" in rows[0]["problem"]
    assert "conversation_id" in rows[0]["content"] and rows[1]["problem"] is None


@pytest.mark.parametrize(("kind", "bits"), [(pa.float32(), 24), (pa.float16(), 11)])
def test_shorter_floats_lose_digits_earlier(tmp_path: Path, kind: pa.DataType, bits: int) -> None:
    rows = read_rows(write(tmp_path, "parquet", "conversation_id", [2.0**bits - 1, 2.0**bits], kind))
    assert rows[0]["conversation_id"] == str(2**bits - 1) and f"2 ** {bits}" in rows[1]["problem"]


def test_integers_are_exact_whatever_their_length(tmp_path: Path) -> None:
    for ending, values, kind in (("parquet", [2**63 + 1], pa.uint64()), ("jsonl", [10**30 + 1], None)):
        assert read_rows(write(tmp_path, ending, "conversation_id", values, kind))[-1]["conversation_id"] == str(
            values[0]
        )
        (tmp_path / f"x.{ending}").unlink()


@pytest.mark.parametrize("written", ["1.23457E+13", "1e+13", "1.0E+05"])
def test_a_number_that_a_spreadsheet_shortened_is_no_conversation(tmp_path: Path, written: str) -> None:
    (tmp_path / "x.csv").write_text(f"conversation_id,turn\n{written},0\n1e5,1\n12E4,2\n")
    rows = read_rows(tmp_path)
    assert rows[0]["problem"] == f"conversation_id '{written}' is a number in exponent form: digits may be lost"
    assert [row["conversation_id"] for row in rows[1:]] == ["1e5", "12E4"]  # as hexadecimal names are


@pytest.mark.parametrize(
    ("column", "kind", "value", "text"),
    [
        ("conversation_id", pa.decimal128(20, 2), decimal.Decimal("12.00"), "12"),
        ("turn", pa.decimal128(10, 0), decimal.Decimal(3), "3"),
        ("start_s", pa.decimal128(10, 3), decimal.Decimal("1.250"), "1.250"),
        ("start_s", pa.duration("ms"), datetime.timedelta(seconds=1.25), "1.25"),
        ("start_s", pa.time64("us"), datetime.time(0, 1, 2, 500_000), "00:01:02.500000"),
        ("text", pa.binary(), "Grüße".encode(), "Grüße"),
        ("text", pa.large_string(), "hi", "hi"),
        ("text", pa.dictionary(pa.int8(), pa.string()), "hi", "hi"),
        ("occurred_at", pa.date32(), datetime.date(2026, 3, 1), "2026-03-01"),
        ("speaker", pa.list_(pa.string()), ["Ann Lee"], "Ann Lee"),
        ("speaker", pa.list_(pa.string()), [], None),
    ],
)
def test_types_that_databases_write(
    tmp_path: Path, column: str, kind: pa.DataType, value: Any, text: str | None
) -> None:
    rows = read_rows(write(tmp_path, "parquet", column, [value, None], kind))
    assert [row[column] for row in rows] == [text, None] and not any(row["problem"] for row in rows)


def test_bytes_that_are_no_text_cost_their_row(tmp_path: Path) -> None:
    rows = read_rows(write(tmp_path, "parquet", "text", [b"\xff", b"hi"], pa.binary()))
    assert [row["problem"] for row in rows] == ["column text holds bytes that are not UTF-8", None]


def test_a_timestamp_needs_no_time_format(tmp_path: Path) -> None:
    path = write(tmp_path, "parquet", "occurred_at", [datetime.datetime(2026, 3, 1)], pa.timestamp("us"))
    assert read_rows(path, time_format="epoch_ms")[0]["occurred_at"].startswith("2026-03-01")
    with pytest.raises(WorkflowError, match="occurred_at has type timestamp"):
        read_rows(path, time_format="%Y-%d-%m")
