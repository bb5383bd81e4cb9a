"""The rows of a feature shard, whoever made the vectors."""

import numpy as np
import pyarrow as pa

from tasks.extractors import Extracted
from tasks.schema import KEY, conform, features_schema


def feature_rows(utterances: pa.Table, made: Extracted, dim: int, where: str) -> tuple[pa.Table, dict[str, int]]:
    """One row for every utterance (`tasks.schema.features_schema`), in their order, and how many have a vector."""
    schema = features_schema(dim)
    values = np.where(made.valid[:, None], made.vectors, np.float32(0)).astype(np.float32)
    columns = {
        **{name: utterances.column(name) for name in KEY},
        "vector": pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), dim, mask=pa.array(~made.valid)),
        "reason": made.reasons,
    }
    table = pa.table(columns, schema=pa.schema([pa.field(f.name, f.type) for f in schema]))
    failed = sum(reason is not None for reason in made.reasons)
    present = int(made.valid.sum())
    counts = {"rows": table.num_rows, "present": present, "failed": failed, "absent": table.num_rows - present - failed}
    return conform(table, schema, where), counts
