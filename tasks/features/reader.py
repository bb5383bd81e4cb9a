"""Reading features back: a shard's utterances and vectors, side by side, as arrays for the model.

Vectors go from Arrow to arrays without a Python list in between.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa

from sdt_model.bundle import Bundle
from sdt_model.config import Modality
from sdt_model.conversations import Bools, Conversations, Floats, Ints
from tasks.archive.layout import features_folder, features_path, features_place, manifest_path
from tasks.archive.manifests import has_modality
from tasks.archive.repair import finished_manifest, reading, repair_command
from tasks.archive.schema import KEY
from tasks.errors import WorkflowError
from tasks.features.table import NOT_FINITE
from tasks.features.vectors import vectors_of
from tasks.storage.manifest import Manifest, ShardRecord
from tasks.storage.workspace import Workspace

COLUMNS = [*KEY, "speaker", "emotion", "split", "occurred_at"]


@dataclass(frozen=True)
class FeatureFolder:
    """One modality's features of an archive; ``folder`` is None where the archive has nothing of the modality."""

    modality: Modality
    dim: int
    folder: str | None


@dataclass(frozen=True)
class ShardFeatures:
    """One shard: its utterances (without text), and for each modality what the model reads.

    Attributes:
        utterances: columns `COLUMNS`, sorted by the key.
        conversations: the shard's conversations as arrays; labels are -1 where there is none or not among ``emotions``.
        reasons: for each modality why a vector is null or what it was made without; null where neither is to be said.
    """

    utterances: pl.DataFrame
    conversations: Conversations
    reasons: dict[Modality, pl.Series]


def complete_features(workspace: Workspace, archive: str, modality: Modality, extractor: str) -> Manifest | None:
    """The manifest of the features that the extractor with this fingerprint made of the archive, if complete."""
    return finished_manifest(workspace, manifest_path(features_folder(archive, modality, extractor)))


def feature_folders(
    workspace: Workspace, archive: Manifest, bundle: Bundle, name: str
) -> tuple[tuple[FeatureFolder, ...], list[Manifest | None]]:
    """Where the features that the bundle needs lie, and their manifests; None where the archive has nothing of one.

    Raises:
        WorkflowError: the archive has a modality, and no complete features of it by the bundle's extractor.
    """
    folders: list[FeatureFolder] = []
    manifests: list[Manifest | None] = []
    for modality, source in bundle.features.items():
        folder = features_folder(name, modality, source.fingerprint)
        manifest = complete_features(workspace, name, modality, source.fingerprint)
        if manifest is None and not has_modality(archive, modality):
            folders.append(FeatureFolder(modality, source.dim, None))
            manifests.append(None)
        elif manifest is None or not manifest.is_of(archive):
            places = map(features_place, workspace.files(features_folder(name, modality)))
            others = {place.extractor for place in places if place is not None}
            raise WorkflowError(
                f"model {bundle.model_id} takes {modality} features of {source.extractor} ({source.fingerprint}), "
                f"and archive {name!r} has no complete ones in {folder}\n"
                f"  there: features of {', '.join(sorted(others)) or 'no extractor'}\n"
                f"  make them with: sdt extract {name} {source.assignment(modality)}\n"
                "  if they are there under another fingerprint, the extractor has changed since training: train again"
            )
        else:
            folders.append(FeatureFolder(modality, source.dim, folder))
            manifests.append(manifest)
    return tuple(folders), manifests


def read_shard(
    workspace: Workspace,
    shard: ShardRecord,
    folders: list[FeatureFolder],
    emotions: tuple[str, ...],
    chosen: Callable[[pl.DataFrame], pl.Series] | None = None,
) -> ShardFeatures:
    """Read one shard, or those of its conversations that are chosen.

    ``chosen``: which of the utterances, given as columns `COLUMNS`; all or none of a conversation's. Vectors are read
    in the row groups that hold some of them.

    Raises:
        WorkflowError: a file is damaged or gone, or a feature shard does not hold exactly the utterances of its
            utterance shard; names the command that makes it anew.
    """
    with reading(workspace, shard.path):
        whole = _frame(workspace.read_table(shard.path, COLUMNS))
    rows = np.arange(whole.height) if chosen is None else np.flatnonzero(chosen(whole).to_numpy())
    features: dict[Modality, Floats] = {}
    present: list[Bools] = []
    reasons: dict[Modality, pl.Series] = {}
    for folder in folders:
        vectors, valid, why = _vectors(workspace, shard, folder, whole, rows)
        features[folder.modality] = vectors
        present.append(valid)
        reasons[folder.modality] = why
    utterances = whole[rows]
    return ShardFeatures(utterances, _conversations(utterances, features, np.stack(present), emotions), reasons)


def _frame(table: pa.Table) -> pl.DataFrame:
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)  # a table gives a frame, an array a series
    return frame


def _vectors(
    workspace: Workspace, shard: ShardRecord, folder: FeatureFolder, utterances: pl.DataFrame, rows: Ints
) -> tuple[Floats, Bools, pl.Series]:
    """The vectors of some ``rows`` of the shard, whether there is one, and why there is none."""
    if folder.folder is None:
        nothing = pl.repeat(None, len(rows), dtype=pl.String, eager=True)
        return np.zeros((len(rows), folder.dim), np.float32), np.zeros(len(rows), bool), nothing
    path = features_path(folder.folder, shard)
    vectors, valid = np.empty((len(rows), folder.dim), np.float32), np.empty(len(rows), bool)
    reasons = [pl.Series("reason", dtype=pl.String)]
    with reading(workspace, path), workspace.parquet(path) as file:
        same, end = file.metadata.num_rows == utterances.height, 0
        # A group at a time: the memory that it is read into is used again, and at hand when it is copied.
        for group in range(file.num_row_groups if same else 0):
            begin, end = end, end + file.metadata.row_group(group).num_rows
            here = slice(*np.searchsorted(rows, [begin, end]))
            if here.start == here.stop:
                continue
            table, chosen = file.read_row_group(group, columns=[*KEY, "vector", "reason"]), rows[here] - begin
            same &= _frame(table.select(list(KEY))).equals(utterances[begin:end].select(KEY))
            _, valid[here] = vectors_of(table, None if len(chosen) == len(table) else chosen, vectors[here])
            reasons.append(_reasons(table, chosen, valid[here]))
    if not same:
        raise WorkflowError(
            f"{path}: holds other utterances than {shard.path}\n  make it anew with: {repair_command(workspace, path)}"
        )
    return vectors, valid, pl.concat(reasons)


def _reasons(table: pa.Table, rows: Ints, valid: Bools) -> pl.Series:
    """Why some rows of a feature shard have no vector, also where what was stored is none."""
    dropped = np.asarray(table["vector"].is_valid())[rows] & ~valid
    return _frame(table.select(["reason"]))["reason"][rows].set(pl.Series(dropped), NOT_FINITE)


def _conversations(
    utterances: pl.DataFrame, features: dict[Modality, Floats], present: Bools, emotions: tuple[str, ...]
) -> Conversations:
    # Speakers are numbered by order of appearance: any number of them, none known beforehand.
    named = pl.col("speaker").is_not_null()
    first_seen = pl.when(named).then(pl.col("row").min().over("conversation_id", "speaker"))
    classes = {name: index for index, name in enumerate(emotions)}
    numbers = utterances.with_row_index("row").select(
        speaker=(first_seen.rank("dense").over("conversation_id").cast(pl.Int64) - 1).fill_null(-1),
        label=pl.col("emotion").replace_strict(classes, default=-1, return_dtype=pl.Int64),
    )
    return Conversations(
        features=features,
        present=present,
        speaker=numbers["speaker"].to_numpy(),
        label=numbers["label"].to_numpy(),
        offset=_offset(utterances),
    )


def _offset(utterances: pl.DataFrame) -> Ints:
    lengths = utterances.group_by("conversation_id", maintain_order=True).len()["len"].to_numpy()
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
