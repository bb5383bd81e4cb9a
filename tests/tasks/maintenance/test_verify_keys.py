"""Checks of keys by themselves; a damaged archive as a whole is in test_verify."""

import polars as pl

from tasks.archive.sharding import shard_of
from tasks.maintenance.verify_keys import placed_keys, unique_keys


def keys(*rows: tuple[str, int]) -> pl.DataFrame:
    return pl.DataFrame(rows, ["conversation_id", "turn"], orient="row")


def test_keys_that_stand_twice_are_counted_once_each_and_one_is_named() -> None:
    assert unique_keys(keys(("a", 1), ("a", 2), ("b", 1))) == []
    assert unique_keys(keys(("a", 1), ("b", 1), ("b", 1), ("a", 1))) == ["2 keys stand twice, such as 'a' turn 1"]


def test_a_conversation_of_another_shard_is_named() -> None:
    own = shard_of("a", 2)
    assert placed_keys(own, 2, keys(("a", 1))) == []
    assert placed_keys(1 - own, 2, keys(("a", 1))) == ["1 conversations belong to another shard, such as 'a'"]
