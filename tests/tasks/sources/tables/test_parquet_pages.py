"""Sizes of pages by their headers, whatever writes them, and files whose pages are not to be decoded."""

import io
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.config.tables import TableSettings
from tasks.errors import WorkflowError
from tasks.sources.tables import parquet_rows
from tasks.sources.tables.parquet_pages import Page, pages
from tasks.sources.tables.table import Table

WAYS: dict[str, dict[str, Any]] = {
    "plain": {"use_dictionary": False}, "dictionary": {}, "v2": {"data_page_version": "2.0"},
    "gzip": {"compression": "gzip"},
    "checksums": {"write_page_checksum": True}, "many": {"data_page_size": 2000, "row_group_size": 400},
    "delta": {"use_dictionary": False, "column_encoding": {"text": "DELTA_BYTE_ARRAY"}},
    "statistics": {"write_page_index": True},
}  # fmt: skip


def table(rows: int = 1000, text: str = "word ") -> pa.Table:
    texts = [f"{text * (row % 7)}{row}" for row in range(rows)]
    return pa.table({"conversation_id": ["c"] * rows, "turn": [str(row) for row in range(rows)], "text": texts})


def listed(content: bytes, *columns: str) -> list[Page]:
    return list(pages(io.BytesIO(content), pq.ParquetFile(io.BytesIO(content)).metadata, columns))


def written(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


def read(path: Path, content: bytes) -> list[str]:
    path.write_bytes(content)
    source = Table(TableSettings())
    (file,) = source.files(str(path), None)
    return [text for batch in source.batches(file, None) for text in batch["text"]]


@pytest.mark.parametrize("way", WAYS)
def test_the_pages_of_a_column_are_all_that_its_footer_counts(way: str) -> None:
    content = written(table(), **WAYS[way])
    footer = pq.ParquetFile(io.BytesIO(content)).metadata
    for index, name in enumerate(("conversation_id", "turn", "text")):
        for group in range(footer.num_row_groups):
            chunk = footer.row_group(group).column(index)
            sizes = [page.unpacked for page in listed(content, name) if page.group == group]
            assert 0 < sum(sizes) <= chunk.total_uncompressed_size  # which counts the headers as well
            assert chunk.total_uncompressed_size - sum(sizes) < 200 * len(sizes)
    assert any(page.shared for page in listed(content, "text")) == (way == "delta")
    assert (len(listed(content, "text")) > 5) == (way == "many")


def test_those_that_polars_writes_are_read_too() -> None:
    sink = io.BytesIO()
    pl.DataFrame({"a.b": ["x" * 5000, "y"], "other": [1, 2]}).write_parquet(sink)
    assert {page.column for page in listed(sink.getvalue(), "a.b")} == {"a.b"}
    assert sum(page.unpacked for page in listed(sink.getvalue(), "a.b")) >= 5000


def test_where_a_header_cannot_be_read_the_footer_counts() -> None:
    content = bytearray(written(table(), use_dictionary=False))
    chunk = pq.ParquetFile(io.BytesIO(content)).metadata.row_group(0).column(2)
    content[chunk.data_page_offset : chunk.data_page_offset + 4] = b"\xff" * 4
    (page,) = listed(bytes(content), "text")
    assert page.unpacked == chunk.total_uncompressed_size and page.shared


def test_a_page_that_unpacks_to_too_much_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_rows, "_MOST_PAGE", 2**20)
    large = table(400, "word " * 1000)
    with pytest.raises(
        WorkflowError, match=r"x.parquet: row group 0, column text: a page of [\d,]+ bytes\s+unpacks to"
    ):
        read(tmp_path / "x.parquet", written(large, use_dictionary=False, data_page_size=2**30))
    content = written(large, use_dictionary=False, data_page_size=2**18, write_batch_size=10)
    assert read(tmp_path / "x.parquet", content) == large["text"].to_pylist()


def test_texts_that_share_their_beginning_are_decoded_a_few_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page holds the beginning once: 2,000 texts of 100 kB in about as many bytes as one."""
    texts = [f"{'x' * 100_000}{row:04}" for row in range(2000)]
    shared = pa.table({"conversation_id": ["c"] * 2000, "turn": [*map(str, range(2000))], "text": texts})
    content = written(shared, use_dictionary=False, column_encoding={"text": "DELTA_BYTE_ARRAY"}, data_page_size=2**30)
    monkeypatch.setattr(parquet_rows, "_PART_BYTES", 2**20)
    monkeypatch.setattr(parquet_rows, "_SMALL", 2**40)
    path = tmp_path / "x.parquet"
    before = pa.total_allocated_bytes()
    path.write_bytes(content)
    source = Table(TableSettings())
    (file,) = source.files(str(path), None)
    rows = 0
    for batch in source.batches(file, None):
        rows += len(batch)
        assert pa.total_allocated_bytes() - before < 60 * 2**20
    assert rows == 2000
