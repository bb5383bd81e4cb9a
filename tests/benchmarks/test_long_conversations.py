import pytest

from benchmarks.long_conversations import alone


@pytest.mark.long
def test_memory_does_not_grow_with_a_conversation() -> None:
    shorter, longer = (alone(turns, width=32)[0] for turns in (4_000, 20_000))
    assert longer < 1.1 * shorter
