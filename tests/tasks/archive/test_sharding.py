"""Shard numbers that an existing archive relies on."""

from collections import Counter

import pytest

from tasks.archive.sharding import shard_of


@pytest.mark.parametrize(("name", "expected"), [("c0", 0), ("Ses01F_impro01", 4), ("Grüße", 2), ("", 0)])
def test_the_number_is_the_same_for_ever(name: str, expected: int) -> None:
    """Another one would put a stored conversation into two shards."""
    assert shard_of(name, 7) == expected


def test_conversations_are_spread_over_all_shards() -> None:
    counts = Counter(shard_of(f"c{number}", 8) for number in range(8_000))
    assert set(counts) == set(range(8)) and max(counts.values()) < 2 * min(counts.values())
