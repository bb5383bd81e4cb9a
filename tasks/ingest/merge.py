"""Merge a shard's rows from all scanned files, each key once; what cannot be used is kept beside them."""

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from tasks.archive.days import utterance_days
from tasks.archive.facts import UtteranceShardFacts
from tasks.archive.layout import rejected_path
from tasks.archive.schema import KEY, REJECTED, UTTERANCES, conform
from tasks.executor.shard import Shard, ShardOutput
from tasks.ingest.scan import SCANNED_ROWS, IngestPlan


def merge_shard(plan: IngestPlan, parts: int, shard: Shard[None]) -> ShardOutput:
    """One utterance shard: its rows from every scanned file, sorted by the key, each key once."""
    rows = pl.DataFrame(pl.from_arrow(_scanned(plan, parts, shard.index)))
    if plan.table is not None and plan.table.number_turns:
        rows = _numbered(rows)
    rows = _reject_duplicates(rows)
    accepted = rows.filter(pl.col("reason").is_null()).sort(KEY)
    rejected = rows.filter(pl.col("reason").is_not_null()).sort("order", "row")
    table = conform(_shaped(accepted, UTTERANCES), UTTERANCES, shard.path)
    beside: dict[str, pa.Table] = {}
    if len(rejected):
        path = rejected_path(plan.archive, shard.path)
        beside[path] = conform(_shaped(rejected, REJECTED), REJECTED, path)
    return ShardOutput(table, _counts(accepted, rejected), _facts(accepted), beside)


def _scanned(plan: IngestPlan, parts: int, bucket: int) -> pa.Table:
    """A bucket's rows from all that was scanned: schema `SCANNED_ROWS`."""
    tables = []
    for i in range(parts):
        with plan.workspace.dataset(plan.part_path(i), SCANNED_ROWS) as scanned:
            tables.append(scanned.to_table(filter=pc.field("bucket") == bucket))
    return pa.concat_tables(tables)


def _numbered(rows: pl.DataFrame) -> pl.DataFrame:
    """Number each conversation's utterances from 0 in the order they were read; rejected rows take no turn."""
    rows = rows.sort("order", "row")
    usable = pl.col("reason").is_null()
    turn = usable.cast(pl.Int32).cum_sum().over("conversation_id") - 1
    return rows.with_columns(turn=pl.when(usable).then(turn))


def _reject_duplicates(rows: pl.DataFrame) -> pl.DataFrame:
    """Of rows with the same key the first one read stays."""
    rows = rows.sort("order", "row")
    first = pl.col("file").first() + pl.lit(" row ") + pl.col("row").first().cast(pl.String)
    usable = rows.filter(pl.col("reason").is_null()).with_columns(
        again=pl.int_range(pl.len()).over(KEY) > 0, reason=pl.lit("duplicate of ") + first.over(KEY)
    )
    repeated = usable.filter("again").drop("again")
    repeated = repeated.with_columns(content=pl.struct(UTTERANCES.names).struct.json_encode())
    once = usable.filter(~pl.col("again")).drop("again").with_columns(reason=pl.lit(None, pl.String))
    return pl.concat([once, rows.filter(pl.col("reason").is_not_null()), repeated])


def _shaped(rows: pl.DataFrame, schema: pa.Schema) -> pa.Table:
    return rows.select(schema.names).to_arrow().cast(pa.schema([pa.field(f.name, f.type) for f in schema]))


def _counts(accepted: pl.DataFrame, rejected: pl.DataFrame) -> dict[str, int]:
    present = {name: int(accepted[name].is_not_null().sum()) for name in ("text", "audio", "video")}
    return {
        "rows_in": len(accepted) + len(rejected),
        "accepted": len(accepted),
        "rejected": len(rejected),
        **present,
        "labelled": int(accepted["emotion"].is_not_null().sum()),
        **dict(accepted["losses"].explode().drop_nulls().value_counts().sort("losses").iter_rows()),
    }


def _facts(accepted: pl.DataFrame) -> UtteranceShardFacts:
    emotions = accepted["emotion"].drop_nulls().value_counts().sort("emotion")
    return UtteranceShardFacts(
        conversations=accepted["conversation_id"].n_unique(),
        days=utterance_days(accepted),
        emotions=dict(emotions.iter_rows()),
        splits=tuple(accepted["split"].unique().sort()),
    )
