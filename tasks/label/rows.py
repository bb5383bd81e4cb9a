"""Predictions to label rows: exactly one per utterance, also where there was nothing to label from."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pyarrow as pa

from sdt_model.bundle import Bundle
from sdt_model.config import MODALITIES, Modality
from sdt_model.conversations import Bools, Ints
from tasks.archive.schema import KEY, labels_schema
from tasks.features.reader import ShardFeatures

if TYPE_CHECKING:  # it brings torch along, and a driver counts emotions without it
    from sdt_model.predict import Predictions

UNUSABLE = "the model makes no number of its vector"
_EMOTION = "emotion."  # before an emotion among a shard's counts
_SHARE = "conversation_thousandths."  # likewise


def label_rows(features: ShardFeatures, predictions: "Predictions", bundle: Bundle) -> pa.Table:
    """The label rows of a shard (`tasks.archive.schema.labels_schema`) but for their run, in its utterances' order."""
    schema = labels_schema(bundle.emotions)
    names, present = list(features.conversations.features), predictions.present
    some = predictions.labelled
    whole = present & np.stack([features.reasons[name].is_null().to_numpy() for name in names])
    status = np.where(whole.all(axis=0), "ok", np.where(some, "degraded", "failed"))
    rows, scores = len(status), predictions.probabilities

    def emotion(number: Ints, valid: Bools) -> pa.Array:
        return pa.DictionaryArray.from_arrays(
            pa.array(number, pa.int32(), mask=~valid), pa.array(bundle.emotions)
        ).cast(pa.string())

    def by_modality(column: str, values: dict[Modality, pa.Array]) -> pa.Array:
        kind = schema.field(column).type
        arrays = [values.get(name, pa.nulls(rows, kind.field(name).type)) for name in MODALITIES]
        return pa.StructArray.from_arrays(arrays, fields=list(kind))

    columns = {
        **{name: features.utterances[name].to_arrow() for name in KEY},
        "emotion": emotion(predictions.emotion, some),
        "confidence": pa.array(scores.max(axis=-1), mask=~some),
        "probabilities": pa.StructArray.from_arrays(
            [pa.array(column, mask=~some) for column in scores.T], fields=list(schema.field("probabilities").type)
        ),
        "students": by_modality(
            "students", {n: emotion(predictions.students[m].argmax(axis=-1), present[m]) for m, n in enumerate(names)}
        ),
        "weights": by_modality(
            "weights", {n: pa.array(predictions.weights[m], mask=~present[m]) for m, n in enumerate(names)}
        ),
        "modalities": _present_names(names, present),
        "status": pa.array(status),
        "reason": _reasons(features, names, present),
        "model_id": pa.repeat(bundle.model_id, rows),
    }
    return pa.table(columns).cast(pa.schema([pa.field(name, schema.field(name).type) for name in columns]))


def _present_names(names: list[Modality], present: Bools) -> pa.Array:
    columns = [pl.when(pl.Series(row)).then(pl.lit(name)) for name, row in zip(names, present, strict=True)]
    return pl.select(pl.concat_list(columns).list.drop_nulls()).to_series().to_arrow()


def _reasons(features: ShardFeatures, names: list[Modality], present: Bools) -> pa.Array:
    """What an utterance that is not ok lacks, wholly or in part: each modality with why, or that none was given."""
    columns = []
    for m, name in enumerate(names):
        unused = pl.when(pl.Series(features.conversations.present[m] & ~present[m])).then(pl.lit(UNUSABLE))
        why = pl.lit(f"{name}: ") + unused.otherwise(features.reasons[name].fill_null("none given"))
        columns.append(pl.when(pl.Series(~present[m]) | features.reasons[name].is_not_null()).then(why))
    joined = pl.concat_str(columns, separator="; ", ignore_nulls=True)
    return pl.select(pl.when(joined != "").then(joined)).to_series().to_arrow()


def label_counts(table: pa.Table, days: pl.Series) -> dict[str, dict[str, int]]:
    """For each day how many rows have each status and each emotion, and what of the conversations each emotion has.

    `emotion_counts` and `conversation_counts` read them. ``days``: (N,) the day of each row.
    """
    rows = pl.DataFrame(pl.from_arrow(table.select(["conversation_id", "status", "emotion"]))).with_columns(day=days)
    said = rows.drop_nulls("emotion").with_columns(share=1 / pl.len().over("conversation_id"))
    counts: dict[str, dict[str, int]] = defaultdict(dict)
    for day, status, number in rows.group_by("day", "status").len().iter_rows():
        counts[day][status] = number
    by_emotion = said.group_by("day", "emotion").agg(pl.len(), pl.col("share").sum()).sort("emotion")
    for day, emotion, number, share in by_emotion.iter_rows():
        counts[day] |= {f"{_EMOTION}{emotion}": number, f"{_SHARE}{emotion}": round(1000 * share)}
    return dict(counts)


def emotion_counts(counts: Mapping[str, int]) -> Counter[str]:
    """The emotions among `label_counts`, added up over any shards."""
    return Counter({name.removeprefix(_EMOTION): n for name, n in counts.items() if name.startswith(_EMOTION)})


def conversation_counts(counts: Mapping[str, int]) -> defaultdict[str, float]:
    """How many conversations each emotion has, each counted as 1 in all, among `label_counts` of any shards."""
    shares = {name.removeprefix(_SHARE): n / 1000 for name, n in counts.items() if name.startswith(_SHARE)}
    return defaultdict(float, shares)
