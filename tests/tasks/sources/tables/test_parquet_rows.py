"""What a batch takes is bounded by bytes, not by rows: a text that many rows have stands once in a file."""

from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.config.tables import TableSettings
from tasks.errors import WorkflowError
from tasks.sources.base import SourceFile
from tasks.sources.tables import parquet_rows
from tasks.sources.tables.table import Table


def read(path: Path) -> list[pl.DataFrame]:
    return list(Table(TableSettings()).batches(SourceFile(str(path), path.name, path.stat().st_size), None))


def write(path: Path, texts: list[str | None], kind: pa.DataType, **options: object) -> Path:
    rows = len(texts)
    columns = {
        "conversation_id": pa.array([f"c{row // 10}" for row in range(rows)]),
        "turn": pa.array(range(rows), pa.int32()),
        "text": pa.array([text.encode() if text and pa.types.is_binary(kind) else text for text in texts], kind),
    }
    pq.write_table(pa.table(columns), path, **options)
    return path


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.binary()], ids=str)
@pytest.mark.parametrize("dictionary", [True, False])
def test_a_batch_is_cut_where_its_text_is_much_and_nothing_is_lost(
    tmp_path: Path, kind: pa.DataType, dictionary: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_rows, "_PART_BYTES", 1000)
    texts = [None if row % 7 == 3 else ("a" * 300 if row % 2 else f"é{row}" * 40) for row in range(100)]
    texts[50] = "long" * 1000
    path = write(tmp_path / "x.parquet", texts, kind, use_dictionary=dictionary, row_group_size=30)
    parts = read(path)
    whole = pl.concat(parts)
    assert whole["text"].to_list() == texts and whole["row"].to_list() == list(range(1, 101))
    assert whole["turn"].to_list() == [str(row) for row in range(100)]
    assert len(parts) > 20


@pytest.mark.parametrize("stored", [True, False])
def test_a_small_file_that_stands_for_gigabytes_is_refused_in_little_memory(
    tmp_path: Path, stored: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = pa.DictionaryArray.from_arrays(np.zeros(40_000, np.int32), [" ".join(map(str, range(20_000)))])
    names = pa.array([f"c{row // 10}" for row in range(40_000)])
    table = pa.table({"conversation_id": names, "turn": pa.array(range(40_000), pa.int32()), "text": texts})
    path = tmp_path / "x.parquet"
    pq.write_table(table, path, compression="zstd", store_schema=stored)
    assert path.stat().st_size < 400_000, "4 GB of text"
    monkeypatch.setattr(parquet_rows, "_SMALL", 100 * 2**20)
    monkeypatch.setattr(parquet_rows, "_MOST_GROWTH", 100)
    sizes: list[int] = []
    batches = Table(TableSettings()).batches(SourceFile(str(path), path.name, path.stat().st_size), None)
    with pytest.raises(WorkflowError, match=r"x.parquet: unpacks to more than 100 times its [\d,]+ bytes: refused"):
        sizes.extend(int(frame.estimated_size()) for frame in batches)
    assert sizes and max(sizes) < 80 * 2**20
