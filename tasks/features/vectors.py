"""Vectors as a feature shard has them (`tasks.storage.vector_field`), and as arrays."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sdt_model.conversations import Bools, Floats, Ints
from tasks.config.stages import Storage
from tasks.storage.vector_field import vector_type


def encoded(vectors: Floats, storage: Storage) -> npt.NDArray[Any]:
    """Vectors (N, C) as they are stored: float32, float16, or the upper half of a float32 as uint16; rounded to even.

    What is too large becomes infinite.
    """
    if storage == "bfloat16":
        bits = np.ascontiguousarray(vectors).view(np.uint32)
        return (bits + np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1)) >> np.uint32(16)).astype(np.uint16)
    with np.errstate(over="ignore"):
        return vectors.astype(storage, copy=False)


def decoded(values: npt.NDArray[Any], out: Floats | None = None) -> Floats:
    """What `encoded` gave, as float32; into ``out``, where one is given."""
    out = np.empty(values.shape, np.float32) if out is None else out
    if values.dtype == np.uint16:
        np.left_shift(values, np.uint32(16), out=out.view(np.uint32), dtype=np.uint32)
    else:
        out[...] = values
    return out


def vector_array(values: npt.NDArray[Any], valid: Bools) -> pa.Array:
    """The column of `encoded` vectors (N, C), null where they are not valid (N,)."""
    rows, dim = values.shape
    present = None if valid.all() else pa.array(valid).buffers()[1]
    kind = pa.binary(dim * values.itemsize)
    return pa.FixedSizeBinaryArray.from_buffers(kind, rows, [present, pa.py_buffer(np.ascontiguousarray(values))])


def vectors_of(table: pa.Table, rows: Ints | None = None, out: Floats | None = None) -> tuple[Floats, Bools]:
    """The vectors (N, C) of a shard's rows, zeros where there is none, and (N,) where there is one.

    One with a value that is no number is none: it would cost its conversation, and in training the model.

    Args:
        table: of the shard; its column ``vector``.
        rows: (N,) those that are wanted; None: all.
        out: (N, C) where they are to be; None: in a new array.
    """
    values, valid = stored_vectors(table)
    if rows is not None:
        values, valid = values[rows], valid[rows]
    vectors = decoded(values, out)
    if not valid.all():
        vectors[~valid] = 0
    finite = finite_rows(vectors)
    if not finite.all():
        vectors[~finite] = 0
    return vectors, valid & finite


def stored_vectors(table: pa.Table) -> tuple[npt.NDArray[Any], Bools]:
    """The same as they are stored (`encoded`), if possible without a copy; any numbers where there is none."""
    kind = vector_type(table.schema.field("vector"))
    assert kind is not None
    storage, dim = kind
    column = table["vector"].chunk(0) if table["vector"].num_chunks == 1 else table["vector"].combine_chunks()
    if pa.types.is_fixed_size_list(column.type):
        flat = column.values.slice(column.offset * dim, len(column) * dim).to_numpy(zero_copy_only=False)
    else:
        number = np.dtype("uint16" if storage == "bfloat16" else storage)
        flat = np.frombuffer(column.buffers()[1], number, len(column) * dim, column.offset * dim * number.itemsize)
    return flat.reshape(-1, dim), np.asarray(column.is_valid())


def finite_rows(values: npt.NDArray[Any]) -> Bools:
    """(N,) whether all values of a vector are numbers."""
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(values.sum(dtype=np.float32)):  # one pass, and as good as always enough
            return np.ones(len(values), bool)
    return np.asarray(np.isfinite(values).all(axis=1))
