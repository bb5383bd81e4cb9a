"""Scores, from models with random weights: what is counted matters, not how good they are."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sdt_model.ablations import Subset
from sdt_model.metrics.scores import conversation_confusions
from sdt_model.predict import predict
from tasks.archive.facts import UtteranceShardFacts
from tasks.archive.layout import features_folder
from tasks.archive.manifests import read_archive
from tasks.config.training import TrainConfig
from tasks.errors import StageFailed
from tasks.features.reader import FeatureFolder
from tasks.registry.models import read_network
from tasks.storage.workspace import Workspace
from tasks.training.scoring import score_models
from tasks.training.split_rule import split_rule
from tasks.training.splits import gather_splits
from tests.fixtures import archives as made
from tests.fixtures.executor.local import LOCAL
from tests.fixtures.models import promoted_model


def test_counts_are_those_of_the_predictions_with_the_other_modalities_gone(
    workspace: Workspace, tmp_path: Path
) -> None:
    archive = made.archive(workspace, missing=0.4)
    bundle = promoted_model(workspace)
    subsets: tuple[Subset, ...] = (("audio",), ("text", "audio"), ("text", "audio", "visual"))
    (scored,) = score_models([bundle], TrainConfig(workspace=workspace.url, ray=LOCAL, archive="made"), subsets)
    folders = [
        FeatureFolder(m, source.dim, features_folder("made", m, source.fingerprint))
        for m, source in bundle.features.items()
    ]
    test = gather_splits(workspace, archive, folders, bundle.emotions, split_rule(archive, 0.1, 0.1), tmp_path).test
    assert list(scored.subsets) == list(subsets) and scored.whole is scored.subsets[subsets[-1]]
    for subset, heads in scored.subsets.items():
        present = test.present & np.array([[name in subset] for name in made.MODALITIES])
        found = predict(read_network(workspace, bundle), replace(test, present=present), 64)
        for name, guess, has in (
            ("fused", found.probabilities, present.any(axis=0)),
            ("audio", found.students[1], present[1]),
            ("visual", found.students[2], present[2]),
        ):
            label = np.where(has, test.label, -1)
            expected = conversation_confusions(label, guess.argmax(axis=1), test.offset, 3)
            np.testing.assert_array_equal(heads[name], expected)
    assert scored.subsets["audio",]["visual"].sum() == 0
    assert scored.subsets["audio",]["fused"].sum() < scored.whole["fused"].sum() < test.offset[-1]


def test_every_model_is_scored_once(workspace: Workspace) -> None:
    made.archive(workspace)
    bundles = [promoted_model(workspace, "sdt-a"), promoted_model(workspace, "sdt-b", ("text",))]
    config = TrainConfig(workspace=workspace.url, ray=LOCAL, archive="made")
    first = score_models(bundles, config)
    before = {path: workspace.read_bytes(path) for path in workspace.files("evaluations")}
    assert len(before) == 2 and len(first[0].whole["fused"]) == len(first[1].whole["fused"])
    again = score_models(bundles, config)
    assert {path: workspace.read_bytes(path) for path in workspace.files("evaluations")} == before
    np.testing.assert_array_equal(again[1].whole["text"], first[1].whole["text"])


def test_without_a_test_split_there_is_nothing_to_score(workspace: Workspace) -> None:
    made.archive(workspace, conversations=9)  # as few as have no conversation marked test
    assert "test" not in {
        s for shard in read_archive(workspace, "made").shards for s in UtteranceShardFacts.of(shard).splits
    }
    config = TrainConfig(workspace=workspace.url, ray=LOCAL, archive="made")
    with pytest.raises(StageFailed, match="no annotated conversation in its test split"):
        score_models([promoted_model(workspace)], config)
