from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdt_model.config import MODALITIES
from tasks.archive.facts import UtteranceShardFacts
from tasks.archive.layout import features_folder
from tasks.errors import WorkflowError
from tasks.features.reader import FeatureFolder
from tasks.storage.manifest import Manifest
from tasks.storage.workspace import Workspace
from tasks.training.splits import SplitRule, gather_splits, given_splits, split_rule, statistics
from tests.fixtures import archives as made
from tests.fixtures import conversations as made_conversations

RULE = SplitRule(dev_fraction=0.1, test_fraction=0.2, dev_from_train=False)
WENT = {
    "a": "train", "b": "train", "c": "dev", "dia 7": "train", "übung": "dev", "c000": "train", "c002": "test",
}  # fmt: skip


def folders() -> list[FeatureFolder]:
    found = []
    for modality in MODALITIES:
        spec = made.extractor_spec(modality, made.ExtractorNames().of(modality))
        found.append(FeatureFolder(modality, spec.dim, features_folder("made", modality, spec.fingerprint)))
    return found


def test_every_annotated_conversation_goes_to_its_split(workspace: Workspace, tmp_path: Path) -> None:
    archive = made.archive(workspace)
    splits = gather_splits(workspace, archive, folders(), made.EMOTIONS, RULE, tmp_path)
    sizes = [len(split.lengths) for split in (splits.train, splits.dev, splits.test)]
    assert sizes == [18, 9, 9]
    assert sum(len(split.label) for split in (splits.train, splits.dev, splits.test)) == archive.rows


def test_arrays_are_mapped_from_disk_and_absent_vectors_are_zero(workspace: Workspace, tmp_path: Path) -> None:
    train = gather_splits(workspace, made.archive(workspace), folders(), made.EMOTIONS, RULE, tmp_path).train
    for m, values in enumerate(train.features.values()):
        assert isinstance(values, np.memmap)
        assert (np.abs(values).sum(axis=1) > 0).tolist() == train.present[m].tolist()


def test_without_annotation_the_error_counts(workspace: Workspace, tmp_path: Path) -> None:
    archive = made.archive(workspace)
    with pytest.raises(WorkflowError, match=r"no annotated utterance of the train split has a vector of text or audio"):
        gather_splits(workspace, archive, folders(), ("none", "of these"), RULE, tmp_path)


def test_a_split_with_annotations_and_without_a_vector_is_refused_where_it_is_needed(
    workspace: Workspace, tmp_path: Path
) -> None:
    archive = made.archive(workspace, missing=1.0)
    for needed in ("train", "dev", "test"):
        with pytest.raises(WorkflowError, match=f"of the {needed} split has a vector of audio\n  (18|9) conversations"):
            gather_splits(workspace, archive, folders()[1:2], made.EMOTIONS, RULE, tmp_path, (needed,))
    assert len(gather_splits(workspace, archive, folders(), made.EMOTIONS, RULE, tmp_path, ()).dev.lengths) == 9


def test_a_conversation_has_the_split_that_its_rows_name_and_only_one() -> None:
    rows = {"conversation_id": ["b", "b", "a", "c", "c"], "split": [None, "test", None, "Train", "train"]}
    assert list(given_splits(pl.DataFrame(rows))) == [("b", "test"), ("a", None), ("c", "Train")]
    rows["split"][3] = "dev"
    with pytest.raises(WorkflowError, match="conversation 'c' is in several splits: dev, train"):
        list(given_splits(pl.DataFrame(rows)))


def test_conversations_without_a_split_go_the_same_way_in_every_process() -> None:
    went = {name: RULE.split(name, None) for name in WENT}
    assert went == WENT


@given(st.text(min_size=1), st.sampled_from([None, "train", "dev", "test"]))
def test_a_conversation_is_dev_in_one_way_only(name: str, mark: str | None) -> None:
    """Whether it is marked train or not at all, the same ones are dev, where no other is."""
    rule = RULE.model_copy(update={"dev_from_train": True})
    unmarked = rule.split(name, None) == "dev"
    assert (rule.split(name, mark) == "dev") == (unmarked if mark in (None, "train") else mark == "dev")


def test_fractions_are_kept_roughly() -> None:
    found = [RULE.split(f"conversation {i}", None) for i in range(4000)]
    assert found.count("dev") == pytest.approx(400, rel=0.2) and found.count("test") == pytest.approx(800, rel=0.2)


def test_names_of_splits() -> None:
    assert [RULE.split("x", name) for name in ("train", "Validation", "val", "test", "holdout")] == [
        "train", "dev", "dev", "test", None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (["train", "test"], True),
        (["train", "val"], False),
        ([None], False),
        # Those that are yet to be marked may hold nothing that is annotated.
        (["train", "test", None], True),
        (["test", None], False),
    ],
)
def test_dev_is_taken_from_train_only_where_nothing_is_marked_dev(found: list, expected: bool) -> None:
    facts = UtteranceShardFacts(conversations=0, emotions={}, splits=tuple(found))
    shard = {"index": 0, "path": "p", "rows": 0, "bytes": 0, "sha256": "", "facts": facts.plain()}
    archive = Manifest(stage="ingest", fingerprint="f", shards=(shard,), columns={})
    rule = split_rule(archive, 0.1, 0.1)
    assert rule.dev_from_train == expected
    marked = [rule.split(f"c{i}", "train") for i in range(500)]
    assert ("dev" in marked) == expected


def test_statistics_are_those_of_the_vectors_that_are_there() -> None:
    data = made_conversations.conversations([40, 60], present=0.7)
    data.features["audio"][:, 3] = np.float32(5e4) * data.present[1]  # constant, and far from zero
    mean, deviation = statistics(data)
    for m, (name, values) in enumerate(data.features.items()):
        there = values[data.present[m]].astype(np.float64)
        np.testing.assert_allclose(mean[name], there.mean(0), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(deviation[name], there.std(0), rtol=1e-4, atol=1e-6)
    assert deviation["audio"][3] == 0
