"""Import the features that a source brings, to where an extractor's would lie.

Two fan-outs, as in ingest. `given` reads the source's file once and orders its vectors by the shard their conversations
belong to; `features` writes a feature shard for each utterance shard.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from sdt_model.config import MODALITIES, Modality
from tasks.archive.facts import FeatureFacts, PrecomputedFeatures
from tasks.archive.layout import features_folder, features_path
from tasks.archive.schema import KEY, UTTERANCES
from tasks.archive.sharding import shard_of
from tasks.config.stages import StageConfig
from tasks.executor.fan_out import fan_out
from tasks.executor.shard import Shard, ShardFunction, ShardOutput, Stream, shard_columns
from tasks.extractors.base import Extracted
from tasks.features.precomputed import PRECOMPUTED, precomputed_path
from tasks.features.table import ROWS_A_GROUP, feature_rows
from tasks.sources.base import FeatureSource, SourceFeatures, SourceFile
from tasks.storage.manifest import (
    Manifest,
    ShardFacts,
    ShardRecord,
    fingerprint,
    incomplete_shards,
    remove_damaged,
    usable_manifest,
)
from tasks.storage.workspace import Workspace

CODE_VERSION = 1
Payload = TypeVar("Payload")


class SourceFeatureFacts(ShardFacts):
    """Of the shard that holds a source file's features."""

    layout: str
    """What the file is, as a person would call it."""
    dims: dict[Modality, int]
    """The modalities, and the length of their vectors."""


@dataclass(frozen=True)
class ImportTask:
    """One modality's features of one utterance shard."""

    utterances: ShardRecord
    features: PrecomputedFeatures


@dataclass(frozen=True)
class ImportPlan:
    """What every worker needs to know.

    Attributes:
        source: reads the file.
        scratch: folder for vectors on their way, which ingest removes.
        shards: of utterances.
        identity: fingerprint of the archive that comes of it.
        content: what changes when the file does; features of another file are other features.
    """

    workspace: Workspace
    archive: str
    source: FeatureSource
    scratch: str
    shards: int
    identity: str
    content: str

    @property
    def ready(self) -> str:
        return f"{self.scratch}/given.parquet"

    def features(self, modality: Modality, dim: int) -> PrecomputedFeatures:
        identity = fingerprint(CODE_VERSION, PRECOMPUTED, modality, self.content)
        return PrecomputedFeatures(modality=modality, fingerprint=identity, dim=dim)


def import_features(
    plan: ImportPlan, file: SourceFile, utterances: Sequence[ShardRecord], config: StageConfig
) -> dict[str, object]:
    """Write the file's features of the utterances; return what the archive's facts say of them.

    Raises:
        StageFailed: the file cannot be read, or what it holds does not fit together.
    """
    scan = [Shard(0, plan.ready, file)]
    facts = SourceFeatureFacts.of(fan_out("given", scan, partial(_prepare, scan_features, plan), config)[0])
    features = [plan.features(modality, facts.dims[modality]) for modality in MODALITIES if modality in facts.dims]
    for one in features:
        remove_damaged(plan.workspace, _damaged(plan, one, config), "features")
    count = len(utterances)
    shards = [
        Shard(place * count + i, _path(plan, one, record), ImportTask(record, one))
        for place, one in enumerate(features)
        for i, record in enumerate(utterances)
    ]
    records = fan_out("features", shards, partial(_prepare, import_shard, plan), config)
    for place, one in enumerate(features):
        done = [records[place * count + i].model_copy(update={"index": i}) for i in range(count)]
        manifest = _manifest(plan, one, facts.layout, utterances, done)
        manifest.write(plan.workspace, precomputed_path(plan.archive, one))
    return {"precomputed": tuple(features), "layout": facts.layout}


def _damaged(plan: ImportPlan, features: PrecomputedFeatures, config: StageConfig) -> dict[str, str]:
    """The feature shards that are not as an earlier import's manifest says."""
    manifest = usable_manifest(plan.workspace, precomputed_path(plan.archive, features))
    sizes = plan.workspace.sizes(features_folder(plan.archive, features.modality, features.fingerprint))
    return incomplete_shards(plan.workspace, manifest.shards, sizes, config.check) if manifest else {}


def _path(plan: ImportPlan, features: PrecomputedFeatures, record: ShardRecord) -> str:
    return features_path(features_folder(plan.archive, features.modality, features.fingerprint), record)


def _prepare(work: Callable[[ImportPlan, Shard[Payload]], ShardOutput], plan: ImportPlan) -> ShardFunction[Payload]:
    return partial(work, plan)


def _manifest(
    plan: ImportPlan,
    features: PrecomputedFeatures,
    layout: str,
    utterances: Sequence[ShardRecord],
    done: Sequence[ShardRecord],
) -> Manifest:
    """The manifest that an extractor's features would have, too."""
    made_from = [record.sha256 for record in utterances]
    return Manifest(
        stage=f"extract-{features.modality}",
        fingerprint=fingerprint(CODE_VERSION, features.fingerprint, plan.identity, made_from),
        shards=tuple(done),
        columns=shard_columns(plan.workspace, done[0].path),
        facts=FeatureFacts(
            modality=features.modality,
            extractor=PRECOMPUTED,
            extractor_fingerprint=features.fingerprint,
            dim=features.dim,
            storage="float32",
            licence=f"its publishers' ({layout})",
            archive_fingerprint=plan.identity,
        ).plain(),
    )


def scan_features(plan: ImportPlan, shard: Shard[SourceFile]) -> ShardOutput:
    """The file's vectors, a row group for each utterance shard: the key, ``bucket``, a column for each modality."""
    source = plan.source.features(shard.payload)
    vectors = [pa.field(modality, pa.list_(pa.float32(), dim)) for modality, dim in source.dims.items()]
    schema = pa.schema([*(UTTERANCES.field(name) for name in KEY), pa.field("bucket", pa.int32()), *vectors])
    facts = SourceFeatureFacts(layout=source.layout, dims=source.dims)
    return ShardOutput(Stream(schema, _tables(source, schema, plan.shards), row_group_size=65_536), facts=facts)


def _tables(source: SourceFeatures, schema: pa.Schema, shards: int) -> Iterator[pa.Table]:
    placed = sorted((shard_of(name, shards), name) for name in source.conversations)
    for place, group in itertools.groupby(placed, key=lambda pair: pair[0]):
        yield pa.concat_tables(_table(source, schema, place, name) for _, name in group)


def _table(source: SourceFeatures, schema: pa.Schema, place: int, name: str) -> pa.Table:
    vectors = source.vectors(name)
    rows = len(next(iter(vectors.values())))
    columns: dict[str, pa.Array] = {
        "conversation_id": pa.repeat(name, rows),
        "turn": pa.array(np.arange(rows, dtype=np.int32)),
        "bucket": pa.repeat(pa.scalar(place, pa.int32()), rows),
        **{m: pa.FixedSizeListArray.from_arrays(pa.array(v.ravel()), source.dims[m]) for m, v in vectors.items()},
    }
    return pa.table(columns, schema=schema)


def import_shard(plan: ImportPlan, shard: Shard[ImportTask]) -> ShardOutput:
    """One feature shard: the vectors of an utterance shard's rows, in their order."""
    record, features = shard.payload.utterances, shard.payload.features
    utterances = plan.workspace.read_table(record.path, list(KEY))
    values = _values(plan, features, record.index, utterances)
    vectors = Extracted(values, np.ones(len(values), bool), [None] * len(values))
    table, counts = feature_rows(utterances, vectors, features.dim, shard.path)
    return ShardOutput(table, counts, row_group_size=ROWS_A_GROUP)


def _values(
    plan: ImportPlan, features: PrecomputedFeatures, bucket: int, utterances: pa.Table
) -> npt.NDArray[np.float32]:
    """The vectors (N, C) of an utterance shard's rows."""
    with plan.workspace.dataset(plan.ready) as ready:
        vectors = ready.to_table([*KEY, features.modality], filter=pc.field("bucket") == bucket)
    # Where each utterance's vector stands among those of the bucket: the file has them by conversation.
    numbered = pl.DataFrame(pl.from_arrow(vectors.select(list(KEY)))).with_row_index("number")
    rows = pl.DataFrame(pl.from_arrow(utterances))
    order = rows.join(numbered, on=KEY, how="left", maintain_order="left", validate="1:1")["number"]
    column = vectors.column(features.modality).combine_chunks()
    values: npt.NDArray[np.float32] = column.flatten().to_numpy().reshape(-1, features.dim)[order.to_numpy()]
    return values
