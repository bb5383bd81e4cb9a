from pathlib import Path

import numpy as np
import pytest

from tasks.errors import WorkflowError
from tasks.storage.workspace import Workspace
from tasks.training.split_rule import SplitRule
from tasks.training.splits import gather_splits, statistics
from tests.fixtures import archives as made
from tests.fixtures import conversations as made_conversations
from tests.fixtures.archives import feature_folders

RULE = SplitRule(dev_fraction=0.1, test_fraction=0.2, dev_from_train=False)


def test_every_annotated_conversation_goes_to_its_split(workspace: Workspace, tmp_path: Path) -> None:
    archive = made.archive(workspace)
    splits = gather_splits(workspace, archive, feature_folders(), made.EMOTIONS, RULE, tmp_path)
    sizes = [len(split.lengths) for split in (splits.train, splits.dev, splits.test)]
    assert sizes == [18, 9, 9]
    assert sum(len(split.label) for split in (splits.train, splits.dev, splits.test)) == archive.rows


def test_arrays_are_mapped_from_disk_and_absent_vectors_are_zero(workspace: Workspace, tmp_path: Path) -> None:
    train = gather_splits(workspace, made.archive(workspace), feature_folders(), made.EMOTIONS, RULE, tmp_path).train
    for m, values in enumerate(train.features.values()):
        assert isinstance(values, np.memmap)
        assert (np.abs(values).sum(axis=1) > 0).tolist() == train.present[m].tolist()


def test_without_annotation_the_error_counts(workspace: Workspace, tmp_path: Path) -> None:
    archive = made.archive(workspace)
    with pytest.raises(WorkflowError, match=r"no annotated utterance of the train split has a vector of text or audio"):
        gather_splits(workspace, archive, feature_folders(), ("none", "of these"), RULE, tmp_path)


def test_a_split_with_annotations_and_without_a_vector_is_refused_where_it_is_needed(
    workspace: Workspace, tmp_path: Path
) -> None:
    archive = made.archive(workspace, missing=1.0)
    for needed in ("train", "dev", "test"):
        with pytest.raises(WorkflowError, match=f"of the {needed} split has a vector of audio\n  (18|9) conversations"):
            gather_splits(workspace, archive, feature_folders()[1:2], made.EMOTIONS, RULE, tmp_path, (needed,))
    assert len(gather_splits(workspace, archive, feature_folders(), made.EMOTIONS, RULE, tmp_path, ()).dev.lengths) == 9


def test_statistics_are_those_of_the_vectors_that_are_there() -> None:
    data = made_conversations.conversations([40, 60], present=0.7)
    data.features["audio"][:, 3] = np.float32(5e4) * data.present[1]  # constant, and far from zero
    mean, deviation = statistics(data)
    for m, (name, values) in enumerate(data.features.items()):
        there = values[data.present[m]].astype(np.float64)
        np.testing.assert_allclose(mean[name], there.mean(0), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(deviation[name], there.std(0), rtol=1e-4, atol=1e-6)
    assert deviation["audio"][3] == 0


def test_the_names_that_published_corpora_give_their_splits_are_known() -> None:
    rule = SplitRule(dev_fraction=0.0, test_fraction=0.0, dev_from_train=False)
    named = {
        "trn": "train",
        "Train": "train",
        "val": "dev",
        "VALID": "dev",
        "tst": "test",
        "test": "test",
        "other": None,
    }
    assert {name: rule.split("c", name) for name in named} == named
