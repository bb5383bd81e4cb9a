"""What models say of a held-out split, as one confusion matrix a conversation: one shard a model, over Ray.

The matrices are small, whatever the archive's size, and every score and every bootstrap draw comes from them.
"""

import tempfile
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from sdt_model.ablations import Subset
from sdt_model.bundle import Bundle
from sdt_model.conversations import Conversations, Ints
from sdt_model.inference import InferenceSDT
from sdt_model.metrics.scores import conversation_confusions
from sdt_model.predict import predict
from sdt_model.training.trainer import EVALUATION_UTTERANCES
from tasks.archive.layout import scores_path
from tasks.archive.manifests import read_archive
from tasks.config.stages import StageConfig
from tasks.config.training import Training
from tasks.errors import WorkflowError
from tasks.executor.fan_out import fan_out
from tasks.executor.shard import Shard, ShardFunction, ShardOutput
from tasks.features.reader import FeatureFolder, feature_folders
from tasks.registry.models import read_network
from tasks.storage.manifest import fingerprint
from tasks.storage.workspace import Workspace
from tasks.training.split_rule import SplitRule, split_rule
from tasks.training.splits import gather_splits

CODE_VERSION = 3

HeldOut = Literal["dev", "test"]
MISSED = "missed"


@dataclass(frozen=True)
class Scored:
    """What one model says of a split.

    Attributes:
        fingerprint: of all that the counts depend on.
        subsets: for each subset of modalities, by `fused` or a modality's name, (conversations, K, K) counts of
            annotated utterances that have any modality of the subset, or that one.
        missed: for each subset, (conversations, K) counts of annotated utterances that have nothing of it.
    """

    fingerprint: str
    subsets: dict[Subset, dict[str, Ints]]
    missed: dict[Subset, Ints]

    @property
    def whole(self) -> dict[str, Ints]:
        """With the most modalities that were asked for."""
        return self.subsets[self._most]

    @property
    def compared(self) -> Ints:
        """(conversations, K, K + 1): `whole`'s fused counts of every annotated utterance; last, that nothing was said.

        Models that take different modalities are compared by this, as each can say something of others.
        """
        return np.concatenate([self.whole["fused"], self.missed[self._most][..., None]], axis=-1)

    @property
    def _most(self) -> Subset:
        return max(self.subsets, key=len)


@dataclass(frozen=True)
class ScoreTask:
    """One model to score with each of some subsets of modalities; ``fingerprint``: of all that its scores depend on."""

    fingerprint: str
    bundle: Bundle
    folders: tuple[FeatureFolder, ...]
    subsets: tuple[Subset, ...]


@dataclass(frozen=True)
class ScoringPlan:
    """What every worker needs to know."""

    workspace: Workspace
    archive: str
    rule: SplitRule
    split: HeldOut


def score_models(
    bundles: list[Bundle], config: Training, subsets: tuple[Subset, ...] | None = None, split: HeldOut = "test"
) -> list[Scored]:
    """For each bundle what it says of a split of the archive, with all its modalities or with each of ``subsets``.

    Raises:
        WorkflowError: the archive has no complete features by a bundle's extractors, or no such split.
    """
    workspace = Workspace(config.workspace)
    archive = read_archive(workspace, config.archive)
    rule = split_rule(archive, config.dev_fraction, config.test_fraction)
    plan = ScoringPlan(workspace, config.archive, rule, split)
    shards = []
    for index, bundle in enumerate(bundles):
        folders, made_from = feature_folders(workspace, archive, bundle, config.archive)
        wanted = subsets or (tuple(bundle.features),)
        of = fingerprint(CODE_VERSION, archive.fingerprint, made_from, plan.rule, split, bundle.model_id, wanted)
        path = scores_path(config.archive, bundle.model_id, of)
        shards.append(Shard(index, path, ScoreTask(of, bundle, folders, wanted)))
    fan_out("score", shards, partial(prepare, plan), _stage(config))
    return [_read(workspace, shard) for shard in shards]


def prepare(plan: ScoringPlan) -> ShardFunction[ScoreTask]:
    """The function that scores a model."""
    return partial(score, plan)


def score(plan: ScoringPlan, shard: Shard[ScoreTask]) -> ShardOutput:
    """One row for each subset of modalities and held-out conversation: a flat confusion matrix of each head, and
    how many utterances of each emotion have nothing of the subset."""
    bundle = shard.payload.bundle
    network = read_network(plan.workspace, bundle)
    if torch.cuda.is_available():
        network.cuda()
    with tempfile.TemporaryDirectory(prefix="sdt-score-") as scratch:
        held_out = _held_out(plan, bundle, shard.payload.folders, Path(scratch))
        folded = InferenceSDT(network)
        tables = [_scored(folded, held_out, subset) for subset in shard.payload.subsets]
    return ShardOutput(pa.concat_tables(tables))


def _held_out(plan: ScoringPlan, bundle: Bundle, folders: tuple[FeatureFolder, ...], scratch: Path) -> Conversations:
    archive = read_archive(plan.workspace, plan.archive)
    splits = gather_splits(plan.workspace, archive, list(folders), bundle.emotions, plan.rule, scratch, needed=())
    conversations: Conversations = getattr(splits, plan.split)
    if not len(conversations.lengths):
        raise WorkflowError(
            f"archive {plan.archive!r} has no annotated conversation in its {plan.split} split\n"
            f"  give the `split` column {plan.split}, or set {plan.split}_fraction"
        )
    return conversations


def _scored(network: InferenceSDT, held_out: Conversations, subset: Subset) -> pa.Table:
    taken = np.array([name in subset for name in network.modalities])
    masked = replace(
        held_out, present=held_out.present & taken[:, None]
    )  # absent vectors cannot be seen, whatever they hold
    predictions = predict(network, masked, EVALUATION_UTTERANCES)
    present = predictions.present  # a vector that is no use to the model is missed
    heads = {"fused": (predictions.emotion, predictions.labelled)}
    heads |= {n: (predictions.students[m].argmax(axis=-1), present[m]) for m, n in enumerate(network.modalities)}
    columns: dict[str, Any] = {"subset": pa.repeat("+".join(subset), len(held_out.lengths))}

    def counts(guess: Ints, has: npt.ArrayLike) -> Ints:
        return conversation_confusions(np.where(has, held_out.label, -1), guess, held_out.offset, network.classes)

    for name, (guess, has) in heads.items():
        columns[name] = _lists(counts(guess, has), network.classes**2)
    nothing = counts(np.zeros_like(held_out.label), ~predictions.labelled).sum(axis=-1)
    columns[MISSED] = _lists(nothing, network.classes)
    return pa.table(columns)


def _lists(counts: Ints, size: int) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(counts.ravel(), pa.int64()), size)


def _read(workspace: Workspace, shard: Shard[ScoreTask]) -> Scored:
    table, bundle = workspace.read_table(shard.path), shard.payload.bundle
    subset, classes = np.array(table["subset"].to_pylist()), len(bundle.emotions)
    flat = {name: table[name].combine_chunks().flatten().to_numpy() for name in ("fused", *bundle.features, MISSED)}
    missed = flat.pop(MISSED).reshape(-1, classes)
    heads = {name: counts.reshape(-1, classes, classes) for name, counts in flat.items()}
    rows = {wanted: subset == "+".join(wanted) for wanted in shard.payload.subsets}
    return Scored(
        shard.payload.fingerprint,
        {wanted: {name: counts[its] for name, counts in heads.items()} for wanted, its in rows.items()},
        {wanted: missed[its] for wanted, its in rows.items()},
    )


def _stage(config: Training) -> StageConfig:
    return StageConfig(
        workspace=config.workspace,
        archive=config.archive,
        ray=config.ray,
        resources=config.resources,
        retries=config.retries,
    )
