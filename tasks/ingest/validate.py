"""Rows of text to typed utterances; a row that cannot be used says why, and is kept."""

from datetime import UTC, datetime

import polars as pl
import pyarrow as pa

from tasks.archive.schema import UTTERANCES
from tasks.archive.sharding import shard_of

CANONICAL = UTTERANCES.names
SCANNED = pa.schema(
    [
        *(pa.field(field.name, field.type) for field in UTTERANCES),
        pa.field("file", pa.string(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
        pa.field("reason", pa.string()),  # null: the row is an utterance
        pa.field("content", pa.string()),  # the row as read, where there is a reason
        pa.field("bucket", pa.int32(), nullable=False),  # the shard that its conversation belongs to
    ]
)
_USUAL_TIME = r"^[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-5][0-9](\.[0-9]{1,6})?(Z|\+00:00)?$"


def typed_rows(batch: pl.DataFrame, file: str, shards: int) -> pa.Table:
    """A source's batch (`tasks.sources.base.Source.batches`) with its values typed and judged: schema `SCANNED`."""
    # An empty text stays: that nothing was said is another thing than that nobody wrote it down.
    text = batch.with_columns(_blank_is_null(name) for name in CANONICAL if name != "text")
    typed = text.with_columns(
        turn=pl.col("turn").str.replace(r"\.0+$", "").cast(pl.Int32, strict=False),
        start_s=_number("start_s"),
        end_s=_number("end_s"),
        occurred_at=_times(text["occurred_at"]),
    )
    reason = pl.coalesce(pl.col("problem"), *_faults(text, typed))
    as_read = pl.when(reason.is_not_null()).then(
        pl.coalesce("content", pl.lit(text[CANONICAL].to_struct().struct.json_encode()))
    )
    rows = typed.with_columns(file=pl.lit(file), reason=reason, content=as_read, bucket=_bucket(text, shards))
    usable = pl.col("reason").is_null()
    rows = rows.with_columns(pl.when(usable).then(pl.col(name)).alias(name) for name in CANONICAL)
    return rows.sort("bucket", maintain_order=True).select(SCANNED.names).to_arrow().cast(SCANNED)


def _blank_is_null(name: str) -> pl.Expr:
    stripped = pl.col(name).str.strip_chars()
    return pl.when(stripped != "").then(stripped).alias(name)


def _number(name: str) -> pl.Expr:
    value = pl.col(name).cast(pl.Float64, strict=False)
    return pl.when(value.is_finite()).then(value)


def _times(values: pl.Series) -> pl.Series:
    """Those that are written in the most usual way are read all at once."""
    text = pl.col("text")
    usual = text.str.contains(_USUAL_TIME)
    bare = text.str.replace(" ", "T", literal=True).str.strip_suffix("Z").str.strip_suffix("+00:00")
    read = pl.when(usual).then(bare).str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", time_unit="us", strict=False)
    times = values.to_frame("text").select(
        read=read.dt.replace_time_zone("UTC"), other=pl.when(usual.not_()).then(text)
    )
    others = times["other"].map_elements(_time, return_dtype=pl.Datetime("us", "UTC"), skip_nulls=True)
    return times["read"].fill_null(others)


def _time(value: str) -> datetime | None:
    """An ISO time; one without a zone is UTC."""
    try:
        moment = datetime.fromisoformat(value)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):  # the latter where the UTC of it is before the year 1, or after 9999
        return None


def _faults(text: pl.DataFrame, typed: pl.DataFrame) -> list[pl.Expr]:
    """For each thing that can be wrong, its reason where it is."""

    def lost(name: str, expected: str) -> pl.Expr:
        gone = pl.lit(text[name].is_not_null() & typed[name].is_null())
        return pl.when(gone).then(pl.format(f"{name} {{}} is not {expected}", _quoted(text[name])))

    unsaid = pl.lit(text["text"].fill_null("").str.strip_chars() == "")
    nothing = pl.all_horizontal(unsaid, *(pl.lit(text[name].is_null()) for name in ("audio", "video")))
    if "ready" in text.columns:
        nothing &= ~pl.lit(text["ready"])
    return [
        pl.when(pl.lit(text["conversation_id"].is_null())).then(pl.lit("no conversation_id")),
        pl.when(pl.lit(text["turn"].is_null())).then(pl.lit("no turn")),
        lost("turn", "a whole number"),
        pl.when(pl.lit(typed["turn"] < 0)).then(pl.format("turn {} is negative", pl.lit(typed["turn"]))),
        pl.when(nothing).then(pl.lit("neither text nor media")),
        lost("start_s", "a number of seconds"),
        lost("end_s", "a number of seconds"),
        lost("occurred_at", "an ISO 8601 time"),
        _leaves(text["audio"]),
        _leaves(text["video"]),
    ]


def _quoted(values: pl.Series) -> pl.Expr:
    return pl.concat_str(pl.lit("'"), pl.lit(values.str.slice(0, 60)), pl.lit("'"))


def _leaves(uri: pl.Series) -> pl.Expr:
    """Media are found below the media root and nowhere else."""
    outside = uri.str.contains(r"^[/\\~]|^[A-Za-z][A-Za-z0-9+.-]*:|(^|[/\\])\.\.([/\\]|$)")
    return pl.when(pl.lit(outside)).then(pl.format(f"{uri.name} {{}} leaves the media root", _quoted(uri)))


def _bucket(text: pl.DataFrame, shards: int) -> pl.Series:
    ids = text["conversation_id"].fill_null("")
    unique = ids.unique()
    places = [shard_of(value, shards) for value in unique]
    return ids.replace_strict(unique, pl.Series(places, dtype=pl.Int32), return_dtype=pl.Int32)
