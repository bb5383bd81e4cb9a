"""The rows of a feature shard, whoever made the vectors."""

import numpy as np
import pyarrow as pa

from sdt_model.conversations import Bools, Floats
from tasks.archive.schema import KEY, conform, features_schema
from tasks.config.stages import Storage
from tasks.errors import WorkflowError
from tasks.extractors.base import Extracted
from tasks.features.content_keys import Keys
from tasks.features.vectors import decoded, encoded, finite_rows, vector_array

_SAMPLE, _ENOUGH = 512, 8  # vectors that are looked at, and from how many on
_MOST_ERROR = 0.25  # of rounding, as a share of a dimension's deviation
ROWS_A_GROUP = 2048  # who wants some conversations reads the groups that they lie in
NOT_FINITE = "a value that is not finite"
TOO_LARGE = "a value beyond what {} holds; store float32"


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
        WorkflowError: they are to be stored in 16 bits, which cannot tell them apart.
    """
    schema = features_schema(dim, storage)
    valid, reasons = extracted.valid & finite_rows(extracted.vectors), list(extracted.reasons)
    _say(reasons, extracted.valid & ~valid, NOT_FINITE)
    values = extracted.vectors.astype(np.float32)
    values[~valid] = 0
    stored = encoded(values, storage)
    if storage != "float32":
        _check_distinct(values[valid][:_SAMPLE], storage, where)
        fits = finite_rows(decoded(stored))
        _say(reasons, ~fits, TOO_LARGE.format(storage))
        valid, stored[~fits] = valid & fits, 0
    columns = {
        **{name: utterances.column(name) for name in KEY},
        "vector": vector_array(stored, valid),
        "reason": reasons,
        "made_from": pa.nulls(utterances.num_rows, pa.binary()) if keys is None else keys,
    }
    table = pa.table(columns, schema=pa.schema([pa.field(f.name, f.type) for f in schema]))
    noted = np.array([reason is not None for reason in reasons], bool)
    present, failed, partial = int(valid.sum()), int((noted & ~valid).sum()), int((noted & valid).sum())
    counts = {"rows": table.num_rows, "present": present, "failed": failed, "absent": table.num_rows - present - failed}
    counts |= {"partial": partial} if partial else {}
    return conform(table, schema, where), counts


def _say(reasons: list[str | None], rows: Bools, why: str) -> None:
    for row in np.flatnonzero(rows):
        reasons[row] = why


def _check_distinct(vectors: Floats, storage: Storage, where: str) -> None:
    """Raises: WorkflowError: 16 bits would leave a dimension few of the values that it has in these vectors (N, C)."""
    if len(vectors) < _ENOUGH:
        return
    halved = decoded(encoded(vectors, storage)).astype(np.float64)
    spread = vectors.std(axis=0, dtype=np.float64)
    # What hardly varies beside its size, or beside the other dimensions, is rounding, in float32 as well.
    typical = np.median(spread[spread > 0]) if spread.any() else 0.0
    varies = spread > 1e-5 * np.maximum(np.abs(vectors).max(axis=0), typical)
    error = np.sqrt(np.square(np.where(np.isfinite(halved), halved, vectors) - vectors).mean(axis=0))
    lost = varies & (error > _MOST_ERROR * spread)
    if lost.any():
        worst = int(np.argmax(np.where(lost, error / np.maximum(spread, 1e-300), 0)))
        kept, before = len(np.unique(halved[:, worst])), len(np.unique(vectors[:, worst]))
        raise WorkflowError(
            f"{where}: {storage} leaves {kept} of {before} values of dimension {worst}, and too few of "
            f"{int(lost.sum())} of {vectors.shape[1]} dimensions\n"
            "  their values lie close together far from 0: store float32 (--set extractors.storage=float32)"
        )
