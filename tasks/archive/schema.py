"""The Arrow schemas that stages agree on, and the check that a table keeps one.

The key of an utterance everywhere is (``conversation_id``, ``turn``).
"""

import pyarrow as pa

from sdt_model.config import MODALITIES
from tasks.config.stages import Storage
from tasks.errors import WorkflowError
from tasks.storage.vector_field import vector_field

KEY = ("conversation_id", "turn")
MADE_FROM_BYTES = 16

UTTERANCES = pa.schema(
    [
        pa.field("conversation_id", pa.string(), nullable=False),
        pa.field("turn", pa.int32(), nullable=False),
        pa.field("speaker", pa.string()),
        pa.field("text", pa.string()),
        pa.field("audio", pa.string()),  # URI relative to the archive's media root
        pa.field("video", pa.string()),  # likewise
        pa.field("start_s", pa.float64()),  # span inside the media file, seconds
        pa.field("end_s", pa.float64()),
        pa.field("emotion", pa.string()),
        pa.field("split", pa.string()),
        pa.field("occurred_at", pa.timestamp("us", tz="UTC")),
    ]
)

REJECTED = pa.schema(
    [
        pa.field("file", pa.string(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),  # 1 is the first data row of the file
        pa.field("reason", pa.string(), nullable=False),
        pa.field("content", pa.string(), nullable=False),  # the row as read, JSON
    ]
)


def features_schema(dim: int, storage: Storage = "float32") -> pa.Schema:
    """Rows of one feature shard: the key, a vector (C,) or null, and why there is none if something went wrong.

    A reason beside a vector says what it was made without, such as the seconds that a span lacks.

    ``made_from`` is a hash of what a vector, or its absence, was made from; null where that is to be tried again.
    """
    return pa.schema(
        [
            UTTERANCES.field("conversation_id"),
            UTTERANCES.field("turn"),
            vector_field("vector", dim, storage),
            pa.field("reason", pa.string()),
            pa.field("made_from", pa.binary(MADE_FROM_BYTES)),
        ]
    )


TIMING = pa.schema(  # how long the rows of a feature shard took that were not copied
    [
        pa.field("seconds", pa.float64(), nullable=False),
        pa.field("utterances", pa.int64(), nullable=False),
        pa.field("media_s", pa.float64()),  # of media that were read; null: not known
    ]
)


def labels_schema(emotions: tuple[str, ...]) -> pa.Schema:
    """Label rows: exactly one per utterance, also for one that could not be labelled (``status`` = failed)."""
    return pa.schema(
        [
            UTTERANCES.field("conversation_id"),
            UTTERANCES.field("turn"),
            pa.field("emotion", pa.string()),
            pa.field("confidence", pa.float32()),
            pa.field("probabilities", pa.struct([pa.field(name, pa.float32()) for name in emotions])),
            pa.field("students", pa.struct([pa.field(name, pa.string()) for name in MODALITIES])),
            pa.field("weights", pa.struct([pa.field(name, pa.float32()) for name in MODALITIES])),
            pa.field("modalities", pa.list_(pa.string()), nullable=False),
            pa.field("status", pa.string(), nullable=False),  # ok, degraded, failed
            pa.field("reason", pa.string()),
            pa.field("model_id", pa.string(), nullable=False),
            pa.field("run_id", pa.string(), nullable=False),
        ]
    )


def conform(table: pa.Table, schema: pa.Schema, where: str) -> pa.Table:
    """Return ``table`` if it keeps ``schema`` (names, order, types; nulls where allowed), else raise with both sides.

    Raises:
        WorkflowError: a column differs, or a non-nullable column holds a null.
    """
    expected = [(field.name, field.type) for field in schema]
    actual = [(field.name, field.type) for field in table.schema]
    if expected != actual:
        missing, extra = [f for f in expected if f not in actual], [f for f in actual if f not in expected]
        raise WorkflowError(
            f"{where}: columns differ from the contract\n"
            f"  expected but not there: {', '.join(f'{n} {t}' for n, t in missing) or '-'}\n"
            f"  there but not expected: {', '.join(f'{n} {t}' for n, t in extra) or '-'}\n"
            f"  order expected: {', '.join(n for n, _ in expected)}"
        )
    for field in schema:
        if not field.nullable and table.column(field.name).null_count:
            raise WorkflowError(
                f"{where}: column {field.name} must not be null, and is in {table.column(field.name).null_count} rows"
            )
    return table.cast(schema)
