"""Writers that misbehave against the readers: in = accepted + rejected + blank, no word altered, no traceback."""

import csv
import io
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.config.sources import SourceKind
from tasks.config.tables import TableSettings
from tasks.errors import WorkflowError
from tasks.ingest.validate import typed_rows
from tasks.sources.registry import source

BOUNDED = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
COLUMNS = ("conversation_id", "turn", "text", "emotion", "start_s", "occurred_at")
# What people say, and what trips readers: quotes, backslashes, delimiters, line ends, numbers, words for no value.
said = st.text(st.sampled_from("ab ü😀\"'\\,;\t|\n\r[]{}:0.N\u2028\x85"), max_size=12) | st.sampled_from(
    ["NaN", "null", "NA", "1e13", "\\N", 'he said \\"hi\\"', "C:\\", '"', "a,b\nc", "1.0"]
)
cells = st.sampled_from(["", "c", "d", "0", "1", "7.0", "one", "nan", "-1", "1e400", "2026-03-01", "20260301"])
rows_of_text = st.fixed_dictionaries({name: said if name == "text" else cells for name in COLUMNS})


def read(path: Path, kind: SourceKind = "table", **fields: Any) -> list[dict[str, Any]]:
    """Every row, typed; only an error of ours may come out."""
    table = TableSettings.model_validate(fields)
    way_in = source(kind, table)
    frames = [batch for file in way_in.files(str(path), None) for batch in way_in.batches(file, None)]
    return [row for frame in frames for row in typed_rows(frame, path.name, 3, table).sort_by("row").to_pylist()]


def check(rows: list[dict[str, Any]], texts: list[str | None]) -> None:
    """Every row is accepted as it was written, or rejected with a reason and its content."""
    assert [row["row"] for row in rows] == sorted({row["row"] for row in rows})
    for row, text in zip(rows, texts, strict=True):
        if row["reason"] is None:
            assert (row["text"] or "") == (text or "") and row["conversation_id"] not in (None, "", "nan")
        else:
            assert row["content"]
        assert row["emotion"] not in ("nan", "NaN", "")


def blank(row: dict[str, str]) -> bool:
    return not any(value.strip() for value in row.values())


@pytest.mark.long
@given(
    st.lists(rows_of_text, min_size=1, max_size=8),
    st.sampled_from(",;\t|"),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    st.integers(0, 3),
    st.booleans(),
)
@BOUNDED
def test_csv_as_spreadsheets_write_it(
    tmp_path: Path, rows: list[dict], delimiter: str, end: str, encoding: str, quoting: Any, more: int, blanks: bool
) -> None:
    out = io.StringIO(newline="")
    # Python 3.11's writer does not quote a line end of another kind than its own.
    quoting = csv.QUOTE_ALL if any("\r" in row["text"] or "\n" in row["text"] for row in rows) else quoting
    writer = csv.writer(out, delimiter=delimiter, lineterminator=end, quoting=quoting)
    writer.writerow([*COLUMNS, *[""] * more])
    for row in rows:
        writer.writerow([*(row[name] for name in COLUMNS), *[""] * more])
        out.write(end * blanks + delimiter * 2 * blanks + end * blanks)
    (tmp_path / "x.csv").write_bytes(out.getvalue().encode(encoding))
    check(read(tmp_path / "x.csv"), [row["text"] for row in rows if not blank(row)])


@pytest.mark.long
@given(st.lists(said, min_size=1, max_size=8), st.booleans())
@BOUNDED
def test_csv_with_backslashes_is_read_as_it_was_meant_or_refused(tmp_path: Path, texts: list[str], each: bool) -> None:
    r"""A file that has \" in quotes is of that kind; \\ is one backslash in it, and any other stands for itself."""
    texts = ['a "quote" b', *texts] if each else texts
    written = [text.replace("\\", "\\\\").replace('"', '\\"') for text in texts]
    lines = ["conversation_id,turn,text", *(f'c,{turn},"{text}"' for turn, text in enumerate(written))]
    (tmp_path / "x.csv").write_bytes("\n".join([*lines, ""]).encode())
    try:
        rows = read(tmp_path / "x.csv")
    except WorkflowError as error:
        assert "quote" in str(error)
        return
    if each:
        check(rows, texts)
    else:  # without a quote nothing tells the two ways apart
        assert len(rows) <= len(texts)


@given(st.binary(max_size=60), st.integers(0, 200), st.integers(0, 40))
@BOUNDED
def test_csv_with_damage_is_rows_with_reasons_or_one_error(tmp_path: Path, damage: bytes, at: int, length: int) -> None:
    content = "".join(["conversation_id,turn,text\n", *(f'c,{i},"words, {i}"\n' for i in range(10))]).encode()
    (tmp_path / "x.csv").write_bytes(content[:at] + damage + content[at + length :])
    try:
        rows = read(tmp_path / "x.csv")
    except WorkflowError as error:
        assert "x.csv" in str(error)
        return
    untouched = {
        f"words, {i}" for i, line in enumerate(content.split(b"\n")[1:-1]) if content.index(line) > at + length
    }
    assert all(row["reason"] is None or row["content"] for row in rows)
    if b'"' not in damage and b"\\" not in damage and at >= 26 and content[at : at + length].count(b'"') % 2 == 0:
        assert untouched <= {row["text"] for row in rows}


scalars = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=True) | said
values = scalars | st.lists(scalars, max_size=2) | st.dictionaries(st.just("a"), scalars, max_size=1)


@pytest.mark.long
@given(
    st.lists(st.fixed_dictionaries({}, optional=dict.fromkeys(COLUMNS, values)), min_size=1, max_size=8),
    st.sampled_from(["utf-8", "utf-16"]), st.sampled_from(["", "\n", " \r\n"]), st.sampled_from([".jsonl", ".json"]),
)  # fmt: skip
@BOUNDED
def test_json_of_any_values(tmp_path: Path, records: list[dict], encoding: str, between: str, ending: str) -> None:
    lines = [json.dumps(record, ensure_ascii=encoding == "utf-8") for record in records]
    content = "".join(f"{line}\n{between}" for line in lines) if ending == ".jsonl" else f"[{','.join(lines)}]"
    (tmp_path / f"x{ending}").write_bytes(content.encode(encoding))
    rows = read(tmp_path / f"x{ending}")
    written = records if ending == ".jsonl" else [record for record in records if record]
    check(rows, [as_text(record.get("text")) for record in written])
    (tmp_path / f"x{ending}").unlink()


def as_text(value: Any) -> str | None:
    missing = value is None or (isinstance(value, float) and math.isnan(value))
    return None if missing else value if isinstance(value, str) else json.dumps(value)


@pytest.mark.long
@given(st.lists(st.binary(max_size=20), max_size=8))
@BOUNDED
def test_lines_that_are_no_json_are_rejected_each(tmp_path: Path, junk: list[bytes]) -> None:
    junk = [line for line in (line.replace(b"\n", b"") for line in junk) if line.strip(b"\0 \t\r\n\v\f")]
    first = json.dumps({"conversation_id": "c", "turn": 0, "text": "hi"}).encode()
    (tmp_path / "x.jsonl").write_bytes(b"\n".join([first, *junk, b""]))
    rows = read(tmp_path / "x.jsonl")
    assert len(rows) == 1 + len(junk) and all(row["reason"] and row["content"] for row in rows[1:])


times = st.none() | st.floats(allow_nan=True) | st.integers(-5, 5000) | st.just("soon")
words = st.lists(
    st.fixed_dictionaries({}, optional={"start": times, "end": times, "speaker": st.none() | st.floats() | said}),
    max_size=3,
)
segments = st.fixed_dictionaries(
    {}, optional={"start": times, "end": times, "text": st.none() | said | st.floats(), "words": words | st.none(),
                  "speaker": st.none() | st.floats() | said | st.integers()},
)  # fmt: skip


@given(st.lists(segments | scalars, max_size=8))
@BOUNDED
def test_whisperx_of_any_segments(tmp_path: Path, spoken: list[Any]) -> None:
    (tmp_path / "x.json").write_text(json.dumps({"segments": spoken}))
    rows = read(tmp_path / "x.json", "whisperx")
    assert len(rows) == len(spoken) and {row["row"] for row in rows} == set(range(1, len(spoken) + 1))
    for row in rows:
        if row["reason"] is None:
            assert row["text"] == spoken[row["row"] - 1]["text"].strip() and row["speaker"] not in ("nan", "NaN")


def arrays(size: int) -> Iterator[st.SearchStrategy[pa.Array]]:
    """Columns of types that people's tools write, with nulls."""
    kinds: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
        (pa.string(), said), (pa.large_string(), said), (pa.binary(), st.binary(max_size=8)),
        (pa.bool_(), st.booleans()), (pa.int64(), st.integers(-9, 9)), (pa.float64(), st.floats()),
        (pa.float32(), st.floats(width=32)), (pa.float16(), st.floats(width=16)),
        (pa.timestamp("ns"), st.integers(0, 2**60)), (pa.null(), st.none()),
        (pa.date32(), st.integers(0, 9**5)), (pa.list_(pa.string()), st.lists(said, max_size=2)),
        (pa.duration("ms"), st.integers(0, 10**6)), (pa.time64("us"), st.integers(0, 86_399_999_999)),
        (pa.struct([("a", pa.string())]), st.just({"a": "x"})),
    ]  # fmt: skip
    for kind, strategy in kinds:
        yield st.lists(strategy | st.none(), min_size=size, max_size=size).map(lambda v, kind=kind: pa.array(v, kind))


@pytest.mark.long
@given(st.data(), st.integers(0, 5))
@BOUNDED
def test_parquet_of_any_types(tmp_path: Path, data: st.DataObject, size: int) -> None:
    columns = {name: data.draw(st.one_of(*arrays(size)), name) for name in COLUMNS}
    pq.write_table(pa.table(columns), tmp_path / "x.parquet")
    rows = read(tmp_path / "x.parquet")
    assert len(rows) == size
    texts = columns["text"].to_pylist() if pa.types.is_large_string(columns["text"].type) else None
    for i, row in enumerate(rows):
        assert row["reason"] is None or row["content"]
        assert row["conversation_id"] not in ("nan", "NaN") and row["emotion"] not in ("nan", "NaN")
        if texts and row["reason"] is None:
            assert (row["text"] or "") == (texts[i] or "")


@pytest.mark.parametrize("ending", ["csv", "jsonl", "json", "parquet"])
@given(content=st.binary(max_size=200))
@BOUNDED
def test_any_bytes_are_rows_or_one_error(tmp_path: Path, ending: str, content: bytes) -> None:
    (tmp_path / f"x.{ending}").write_bytes(content)
    try:
        read(tmp_path / f"x.{ending}", number_turns=True, columns={"conversation_id": "a"})
    except WorkflowError as error:
        assert f"x.{ending}" in str(error)
