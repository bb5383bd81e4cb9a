import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.archive.facts import UtteranceShardFacts
from tasks.errors import WorkflowError
from tasks.storage.manifest import Manifest
from tasks.training.split_rule import SplitRule, named_splits, split_rule

RULE = SplitRule(dev_fraction=0.1, test_fraction=0.2, dev_from_train=False)
WENT = {
    "a": "train", "b": "train", "c": "dev", "dia 7": "train", "übung": "dev", "c000": "train", "c002": "test",
}  # fmt: skip


def test_a_conversation_has_the_split_that_its_rows_name_and_only_one() -> None:
    rows = {"conversation_id": ["b", "b", "a", "c", "c"], "split": [None, "test", None, "Train", "train"]}
    assert list(named_splits(pl.DataFrame(rows))) == [("b", "test"), ("a", None), ("c", "Train")]
    rows["split"][3] = "dev"
    with pytest.raises(WorkflowError, match="conversation 'c' is in several splits: dev, train"):
        list(named_splits(pl.DataFrame(rows)))


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
