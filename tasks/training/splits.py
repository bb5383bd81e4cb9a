"""The annotated conversations of an archive as memory-mapped arrays, split into train, dev and test.

Each training worker lays the features it reads into files on its own disk: what it holds in memory is a few bytes an
utterance, and the pages of the batch it works on.
"""

from collections.abc import Collection
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import torch
from torch import Tensor

from sdt_model.config import Modality
from sdt_model.conversations import Conversations, Floats
from sdt_model.moments import Moments
from sdt_model.training.trainer import Splits
from tasks.errors import WorkflowError
from tasks.features.reader import FeatureFolder, ShardFeatures, read_shard
from tasks.storage.manifest import Manifest
from tasks.storage.workspace import Workspace
from tasks.training.split_rule import SplitName, SplitRule, named_splits

_STATISTICS_ROWS = 65_536


def gather_splits(
    workspace: Workspace,
    archive: Manifest,
    folders: list[FeatureFolder],
    emotions: tuple[str, ...],
    rule: SplitRule,
    scratch: Path,
    needed: Collection[SplitName] = ("train", "dev"),
) -> Splits:
    """Read every shard once, and of it the conversations with at least one annotated utterance.

    Raises:
        WorkflowError: a split that is ``needed`` has nothing to count; a conversation is in several.
    """
    writers = {name: _Writer(scratch, name, folders) for name in ("train", "dev", "test")}
    for shard in archive.shards:
        features = read_shard(workspace, shard, folders, emotions, partial(_annotated, emotions))
        for name, chosen in _chosen(features, rule).items():
            writers[name].add(features.conversations, chosen)
    splits = {name: writer.finish() for name, writer in writers.items()}
    for name in needed:
        if not ((splits[name].label >= 0) & splits[name].present.any(axis=0)).any():
            raise WorkflowError(
                f"no annotated utterance of the {name} split has a vector of {' or '.join(splits[name].features)}\n"
                f"  {len(splits[name].lengths)} conversations are in it; the archive has {archive.counts['labelled']} "
                f"annotated of {archive.rows} utterances\n"
                "  give the `split` column train, dev and test, or set dev_fraction and test_fraction"
            )
    return Splits(**splits)


def _annotated(emotions: tuple[str, ...], utterances: pl.DataFrame) -> pl.Series:
    """Whether an utterance's conversation has an annotated one: no other is learnt from, or scored."""
    known = pl.col("emotion").is_in(emotions).fill_null(False)
    return utterances.select(known.any().over("conversation_id")).to_series()


def _chosen(features: ShardFeatures, rule: SplitRule) -> dict[str, list[int]]:
    chosen: dict[str, list[int]] = {"train": [], "dev": [], "test": []}
    for index, (conversation_id, named) in enumerate(named_splits(features.utterances)):
        name = rule.split(conversation_id, named)
        if name is not None:
            chosen[name].append(index)
    return chosen


class _Writer:
    """Appends conversations to one split's files."""

    def __init__(self, scratch: Path, split: str, folders: list[FeatureFolder]) -> None:
        self._dims = {folder.modality: folder.dim for folder in folders}
        self._paths: dict[Modality, Path] = {m: scratch / f"{split}-{m}.f32" for m in self._dims}
        self._files = {modality: path.open("wb") for modality, path in self._paths.items()}
        self._small: dict[str, list[np.ndarray]] = {"present": [], "speaker": [], "label": [], "length": []}

    def add(self, conversations: Conversations, chosen: list[int]) -> None:
        if not chosen:
            return
        rows = conversations.rows(chosen)
        for modality, file in self._files.items():
            file.write(conversations.features[modality][rows].tobytes())
        self._small["present"].append(conversations.present[:, rows])
        self._small["speaker"].append(conversations.speaker[rows])
        self._small["label"].append(conversations.label[rows])
        self._small["length"].append(conversations.lengths[chosen])

    def finish(self) -> Conversations:
        for file in self._files.values():
            file.close()

        def joined(name: str, empty: np.ndarray) -> np.ndarray:
            return np.concatenate([empty, *self._small[name]], axis=-1)

        lengths = joined("length", np.zeros(0, np.int64))
        return Conversations(
            features={m: self._mapped(m, int(lengths.sum())) for m in self._paths},
            present=joined("present", np.zeros((len(self._dims), 0), bool)),
            speaker=joined("speaker", np.zeros(0, np.int64)),
            label=joined("label", np.zeros(0, np.int64)),
            offset=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        )

    def _mapped(self, modality: Modality, rows: int) -> Floats:
        shape = (rows, self._dims[modality])
        return np.memmap(self._paths[modality], np.float32, "r", shape=shape) if rows else np.zeros(shape, np.float32)


def statistics(conversations: Conversations) -> tuple[dict[Modality, Tensor], dict[Modality, Tensor]]:
    """Mean and deviation (C,) of each modality's vectors where there is one, in one pass over each."""
    mean: dict[Modality, Tensor] = {}
    deviation: dict[Modality, Tensor] = {}
    for present, (modality, values) in zip(conversations.present, conversations.features.items(), strict=True):
        moments = Moments(values.shape[1])
        for begin in range(0, len(values), _STATISTICS_ROWS):
            part = slice(begin, begin + _STATISTICS_ROWS)
            moments.add(values[part][present[part]])
        mean[modality] = torch.from_numpy(moments.mean).float()
        deviation[modality] = torch.from_numpy(moments.deviation).float()
    return mean, deviation
