from typing import get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.config.stages import Storage
from tasks.features.vectors import vectors_of
from tasks.storage.vector_field import column_type, vector_field, vector_type
from tasks.storage.workspace import Workspace
from tests.fixtures.vectors import vector_table


@pytest.mark.parametrize("storage", get_args(Storage))
def test_a_field_says_what_its_bytes_are_and_is_described_as_a_list(storage: Storage, workspace: Workspace) -> None:
    field = vector_field("vector", 5, storage)
    assert vector_type(field) == (storage, 5) and column_type(field).endswith("[5]")
    workspace.write_table("x.parquet", vector_table(np.ones((3, 5)), storage=storage))
    read = workspace.read_table("x.parquet")
    assert vector_type(read.schema.field("vector")) == (storage, 5)
    assert vectors_of(read)[0].tolist() == np.ones((3, 5)).tolist()


@pytest.mark.parametrize(("number", "storage"), [(pa.float32(), "float32"), (pa.float16(), "float16")])
def test_the_lists_of_earlier_versions_are_the_same_in_words(number: pa.DataType, storage: Storage) -> None:
    field = pa.field("vector", pa.list_(pa.field("element", number), 5))  # as Parquet names what is in one
    assert vector_type(field) == (storage, 5) and column_type(field) == str(field.type)
    assert column_type(vector_field("vector", 5, storage)) == str(field.type)


@pytest.mark.parametrize("other", [pa.binary(16), pa.string(), pa.list_(pa.string())])
def test_other_fields_are_none(other: pa.DataType) -> None:
    assert vector_type(pa.field("x", other)) is None and column_type(pa.field("x", other)) == str(other)


def test_vectors_alone_are_neither_compressed_nor_counted(workspace: Workspace) -> None:
    table = vector_table(np.ones((64, 256))).append_column("name", pa.array(["a"] * 64))
    workspace.write_table("x.parquet", table)
    group = pq.ParquetFile(workspace.path("x.parquet")).metadata.row_group(0)
    vector, name = group.column(0), group.column(1)
    assert (vector.compression, vector.has_dictionary_page, vector.is_stats_set) == ("UNCOMPRESSED", False, False)
    assert (name.compression, name.has_dictionary_page, name.is_stats_set) == ("ZSTD", True, True)
