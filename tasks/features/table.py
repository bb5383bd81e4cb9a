"""The rows of a feature shard, whoever made the vectors, and the vectors of such rows."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tasks.archive.schema import KEY, conform, features_schema
from tasks.config.stages import Storage
from tasks.errors import WorkflowError
from tasks.extractors.base import Extracted
from tasks.features.content_keys import Keys

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]

_SAMPLE, _ENOUGH = 512, 8  # vectors that are looked at, and from how many on
_MOST_ERROR = 0.25  # of float16, as a share of a dimension's deviation
ROWS_A_GROUP = 2048  # who wants some conversations reads the groups that they lie in
NOT_FINITE = "a value that is not finite"
TOO_LARGE = "a value beyond what float16 holds; store float32"


def feature_rows(
    utterances: pa.Table,
    extracted: Extracted,
    dim: int,
    where: str,
    keys: Keys | None = None,
    storage: Storage = "float32",
) -> tuple[pa.Table, dict[str, int]]:
    """One row for every utterance (schema `features_schema`), in their order, and how many have a vector.

    A vector with a value that is no number is none, and says why. A reason beside a vector says what it lacks.

    Raises:
        WorkflowError: they are to be stored as float16, which cannot tell them apart.
    """
    schema = features_schema(dim, storage)
    values = np.where(extracted.valid[:, None], extracted.vectors, np.float32(0)).astype(np.float32, copy=False)
    valid, reasons = extracted.valid, list(extracted.reasons)
    numbers, valid = _dropped(values, valid, reasons, NOT_FINITE)
    if storage == "float16":
        _check_distinct(numbers[valid][:_SAMPLE], where)
        with np.errstate(over="ignore"):
            numbers, valid = _dropped(numbers.astype(np.float16), valid, reasons, TOO_LARGE)
    columns = {
        **{name: utterances.column(name) for name in KEY},
        "vector": pa.FixedSizeListArray.from_arrays(pa.array(numbers.ravel()), dim, mask=pa.array(~valid)),
        "reason": reasons,
        "made_from": pa.nulls(utterances.num_rows, pa.binary()) if keys is None else keys,
    }
    table = pa.table(columns, schema=pa.schema([pa.field(f.name, f.type) for f in schema]))
    noted = np.array([reason is not None for reason in reasons], bool)
    present, failed, partial = int(valid.sum()), int((noted & ~valid).sum()), int((noted & valid).sum())
    counts = {"rows": table.num_rows, "present": present, "failed": failed, "absent": table.num_rows - present - failed}
    counts |= {"partial": partial} if partial else {}
    return conform(table, schema, where), counts


def _dropped(
    values: npt.NDArray[Any], valid: Bools, reasons: list[str | None], why: str
) -> tuple[npt.NDArray[Any], Bools]:
    """Zeros for the rows that are not finite, which are valid no more; their reasons say why."""
    finite = finite_rows(values)
    for row in np.flatnonzero(~finite):
        reasons[row] = why
    return (values if finite.all() else np.where(finite[:, None], values, values.dtype.type(0))), valid & finite


def _check_distinct(vectors: Floats, where: str) -> None:
    """Raises: WorkflowError: float16 would leave a dimension few of the values that it has in these vectors (N, C)."""
    if len(vectors) < _ENOUGH:
        return
    with np.errstate(over="ignore"):
        halved = vectors.astype(np.float16).astype(np.float64)
    spread = vectors.std(axis=0, dtype=np.float64)
    # What hardly varies beside its size, or beside the other dimensions, is rounding, in float32 as well.
    typical = np.median(spread[spread > 0]) if spread.any() else 0.0
    varies = spread > 1e-5 * np.maximum(np.abs(vectors).max(axis=0), typical)
    error = np.sqrt(np.square(np.where(np.isfinite(halved), halved, vectors) - vectors).mean(axis=0))
    lost = varies & (error > _MOST_ERROR * spread)
    if lost.any():
        worst = int(np.argmax(np.where(lost, error / np.maximum(spread, 1e-300), 0)))
        kept, of = len(np.unique(halved[:, worst])), len(np.unique(vectors[:, worst]))
        raise WorkflowError(
            f"{where}: float16 leaves {kept} of {of} values of dimension {worst}, and too few of {int(lost.sum())} of "
            f"{vectors.shape[1]} dimensions\n"
            "  their values lie close together far from 0: store float32 (--set extractors.storage=float32)"
        )


def finite_rows(values: npt.NDArray[Any]) -> Bools:
    """(N,) whether all values of a vector are numbers."""
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(values.sum(dtype=np.float32)):  # one pass, and as good as always enough
            return np.ones(len(values), bool)
    return np.asarray(np.isfinite(values).all(axis=1))


def vectors_of(column: pa.ChunkedArray) -> tuple[Floats, Bools]:
    """The vectors (N, C) of a shard's column, zeros where there is none, and (N,) where there is one.

    One with a value that is no number is none: it would cost its conversation, and in training the model.
    """
    rows = column.combine_chunks()
    rows = rows.chunk(0) if isinstance(rows, pa.ChunkedArray) else rows
    dim = rows.type.list_size
    valid: Bools = np.asarray(rows.is_valid())
    values = rows.values.slice(rows.offset * dim, len(rows) * dim).to_numpy(zero_copy_only=False).reshape(-1, dim)
    vectors = np.where(valid[:, None], values, values.dtype.type(0)).astype(np.float32, copy=False)
    finite = finite_rows(vectors)
    return (vectors, valid) if finite.all() else (np.where(finite[:, None], vectors, np.float32(0)), valid & finite)
