"""The rows of a feature shard, whoever made the vectors, and the vectors of such rows."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tasks.archive.schema import KEY, conform, features_schema
from tasks.config.stages import Storage
from tasks.extractors.base import Extracted
from tasks.features.content_keys import Keys

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]

ROWS_A_GROUP = 2048  # who wants some conversations reads the groups that they lie in
TOO_LARGE = "a value beyond what float16 holds; store float32"


def feature_rows(
    utterances: pa.Table,
    extracted: Extracted,
    dim: int,
    where: str,
    keys: Keys | None = None,
    storage: Storage = "float32",
) -> tuple[pa.Table, dict[str, int]]:
    """One row for every utterance (schema `features_schema`), in their order, and how many have a vector."""
    schema = features_schema(dim, storage)
    values = np.where(extracted.valid[:, None], extracted.vectors, np.float32(0))
    if storage == "float16":
        numbers, valid, reasons = _halved(values, extracted)
    else:
        numbers = pa.array(values.astype(np.float32, copy=False).ravel())
        valid, reasons = extracted.valid, extracted.reasons
    columns = {
        **{name: utterances.column(name) for name in KEY},
        "vector": pa.FixedSizeListArray.from_arrays(numbers, dim, mask=pa.array(~valid)),
        "reason": reasons,
        "made_from": pa.nulls(utterances.num_rows, pa.binary()) if keys is None else keys,
    }
    table = pa.table(columns, schema=pa.schema([pa.field(f.name, f.type) for f in schema]))
    failed = sum(reason is not None for reason in reasons)
    present = int(valid.sum())
    counts = {"rows": table.num_rows, "present": present, "failed": failed, "absent": table.num_rows - present - failed}
    return conform(table, schema, where), counts


def _halved(values: Floats, extracted: Extracted) -> tuple[pa.Array, Bools, list[str | None]]:
    """Half as many bytes a value; a vector with one that would become infinite is none, and says why."""
    with np.errstate(over="ignore"):
        halved = values.astype(np.float16)
    finite: Bools = np.logical_and.reduce(np.isfinite(halved), axis=1)
    reasons = [reason if fine else TOO_LARGE for reason, fine in zip(extracted.reasons, finite, strict=True)]
    return pa.array(np.where(finite[:, None], halved, np.float16(0)).ravel()), extracted.valid & finite, reasons


def vectors_of(column: pa.ChunkedArray) -> tuple[Floats, Bools]:
    """The vectors (N, C) of a shard's column, zeros where there is none, and (N,) where there is one."""
    rows = column.combine_chunks()
    rows = rows.chunk(0) if isinstance(rows, pa.ChunkedArray) else rows
    dim = rows.type.list_size
    valid: Bools = np.asarray(rows.is_valid())
    values = rows.values.slice(rows.offset * dim, len(rows) * dim).to_numpy(zero_copy_only=False).reshape(-1, dim)
    return np.where(valid[:, None], values, values.dtype.type(0)).astype(np.float32, copy=False), valid
