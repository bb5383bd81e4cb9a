"""Rows of text to typed utterances; a row that cannot be used says why, and is kept."""

from collections.abc import Mapping
from posixpath import normpath

import polars as pl
import pyarrow as pa

from tasks.archive.schema import UTTERANCES
from tasks.archive.sharding import shard_of
from tasks.config.tables import TableSettings
from tasks.ingest.times import moments, seconds
from tasks.sources.null_values import has_value, null_words

CANONICAL = UTTERANCES.names
SCANNED = pa.schema(
    [
        *(pa.field(field.name, field.type) for field in UTTERANCES),
        pa.field("file", pa.string(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
        pa.field("reason", pa.string()),  # null: the row is an utterance
        pa.field("content", pa.string()),  # the row as read, where there is a reason
        pa.field("bucket", pa.int32(), nullable=False),  # the shard that its conversation belongs to
        pa.field("losses", pa.list_(pa.string())),  # of an utterance: "no_value.emotion", "unreadable.start_s"
    ]
)
NO_VALUE, UNREADABLE = "no_value", "unreadable"
_SPAN, _TIMES = ("start_s", "end_s"), ("start_s", "end_s", "occurred_at")


def typed_rows(batch: pl.DataFrame, file: str, shards: int, table: TableSettings | None = None) -> pa.Table:
    """Type and judge the values of a source's batch (`tasks.sources.base.Source.batches`): schema `SCANNED`.

    A time that cannot be read costs the time alone; a span that cannot be read also the media that it is a part of,
    for without it the whole recording would be the utterance's.

    Args:
        file: name of the source's file.
        shards: number of shards that the archive is divided into.
        table: how a table is written; None for other sources, which know their own ways.
    """
    words = {name: null_words(table, name) if table else () for name in CANONICAL}
    numbered = table is not None and table.number_turns
    # An empty text stays: that nothing was said is another thing than that nobody wrote it down.
    text = batch.with_columns(_stripped(name, words[name]) for name in CANONICAL)
    if numbered:  # in the order of the rows, once all are known
        text = text.with_columns(turn=pl.lit("0"))
    typed = text.with_columns(
        turn=pl.col("turn").str.replace(r"\.0+$", "").cast(pl.Int32, strict=False),
        start_s=seconds("start_s"),
        end_s=seconds("end_s"),
        occurred_at=moments(text["occurred_at"], table.time_format if table else None),
    )
    unreadable = {name: text[name].is_not_null() & typed[name].is_null() for name in _TIMES}
    reason = pl.coalesce(pl.col("problem"), *_faults(text, typed, unreadable))
    written = batch.select(_stripped(name, ()) for name in CANONICAL).to_struct().struct.json_encode()
    as_read = pl.when(reason.is_not_null()).then(pl.coalesce("content", pl.lit(written)))
    rows = typed.with_columns(
        file=pl.lit(file), reason=reason, content=as_read, bucket=_bucket(text, shards),
        losses=_losses(batch, words, unreadable),
    )  # fmt: skip
    usable, cut = pl.col("reason").is_null(), pl.lit(unreadable["start_s"] | unreadable["end_s"])
    whole = usable & ~cut
    rows = rows.with_columns(
        pl.when(whole if name in (*_SPAN, "audio", "video") else usable).then(pl.col(name)).alias(name)
        for name in (*CANONICAL, "losses")
    )
    return rows.sort("bucket", maintain_order=True).select(SCANNED.names).to_arrow().cast(SCANNED)


def _stripped(name: str, words: tuple[str, ...]) -> pl.Expr:
    column = pl.col(name)
    if name == "text":
        return pl.when(~column.str.strip_chars().is_in(list(words))).then(column).alias(name) if words else column
    return pl.when(has_value(column, words)).then(column.str.strip_chars()).alias(name)


def _losses(batch: pl.DataFrame, words: Mapping[str, tuple[str, ...]], unreadable: Mapping[str, pl.Series]) -> pl.Expr:
    """Name for each row the columns in which a word, or a float, stood for no value, and the times not readable."""
    by_source = (
        batch["no_value"] if "no_value" in batch.columns else pl.Series([[]] * len(batch), dtype=pl.List(pl.String))
    )
    losses = [
        pl.when(pl.lit(batch[name].str.strip_chars().is_in(list(named)) | by_source.list.contains(name))).then(
            pl.lit(f"{NO_VALUE}.{name}")
        )
        for name, named in words.items()
    ]
    losses += [pl.when(pl.lit(where)).then(pl.lit(f"{UNREADABLE}.{name}")) for name, where in unreadable.items()]
    return pl.concat_list(losses).list.drop_nulls()


def _faults(
    text: pl.DataFrame,
    typed: pl.DataFrame,
    unreadable: Mapping[str, pl.Series],
) -> list[pl.Expr]:
    """For each thing that can be wrong, its reason where it is."""

    def lost(name: str, expected: str, where: pl.Expr) -> pl.Expr:
        return pl.when(where).then(pl.format(f"{name} {{}} is not {expected}", _quoted(text[name])))

    unsaid = pl.lit(text["text"].fill_null("").str.strip_chars() == "")
    nothing = pl.all_horizontal(unsaid, *(pl.lit(text[name].is_null()) for name in ("audio", "video")))
    if "ready" in text.columns:
        nothing &= ~pl.lit(text["ready"])
    return [
        pl.when(pl.lit(text["conversation_id"].is_null())).then(pl.lit("no conversation_id")),
        pl.when(pl.lit(text["turn"].is_null())).then(pl.lit("no turn")),
        lost("turn", "a whole number", pl.lit(text["turn"].is_not_null() & typed["turn"].is_null())),
        pl.when(pl.lit(typed["turn"] < 0)).then(pl.format("turn {} is negative", pl.lit(typed["turn"]))),
        pl.when(nothing).then(pl.lit("neither text nor media")),
        *(lost(name, "a number of seconds", unsaid & pl.lit(unreadable[name])) for name in _SPAN),
        *(pl.when(unsaid).then(_leaves(text[name])) for name in ("audio", "video")),
    ]


def _quoted(values: pl.Series) -> pl.Expr:
    return pl.concat_str(pl.lit("'"), pl.lit(values.str.slice(0, 60)), pl.lit("'"))


def _leaves(uri: pl.Series) -> pl.Expr:
    """Name the media that lie outside any media root; of others extract says so, which knows the root.

    A row with a text stays whatever its media are, and they cost it their features, with the reason.
    """
    outside = uri.str.contains(r"^(\\|~/|[A-Za-z]:[/\\]|(https?|ftp|rtsp|rtmp)://)") | _climbs(uri)
    return pl.when(pl.lit(outside)).then(pl.format(f"{uri.name} {{}} leaves the media root", _quoted(uri)))


def _climbs(uri: pl.Series) -> pl.Series:
    """Whether paths lead out of the folder that they begin in: ``a/../x`` does not, ``a/../../x`` does."""
    relative = uri.str.contains(r"(^|/)\.\.(/|$)") & ~uri.str.starts_with("/")
    return relative & uri.map_elements(lambda path: normpath(path).startswith(".."), return_dtype=pl.Boolean)


def _bucket(text: pl.DataFrame, shards: int) -> pl.Series:
    ids = text["conversation_id"].fill_null("")
    unique = ids.unique()
    places = [shard_of(value, shards) for value in unique]
    return ids.replace_strict(unique, pl.Series(places, dtype=pl.Int32), return_dtype=pl.Int32)
