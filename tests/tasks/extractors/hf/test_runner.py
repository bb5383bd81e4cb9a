"""Moments of states that come in parts."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.extractors.hf.runner import empty_moments, pooled


@given(st.lists(st.integers(1, 5), min_size=1, max_size=5), st.floats(-100, 100), st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_parts_of_any_size_give_the_moments_of_the_whole(parts: list[int], offset: float, seed: int) -> None:
    states = np.random.default_rng(seed).standard_normal((sum(parts), 3)).astype(np.float32) + np.float32(offset)
    states[:, 2] = offset
    moments = empty_moments(2, 3)
    for part in np.split(states, np.cumsum(parts)[:-1]):
        moments[1].add(part)
    moments[0].add(np.ones((1, 3), np.float32))
    alone, found = pooled(moments)
    assert alone.tolist() == [1, 1, 1, 0, 0, 0]
    expected = np.concatenate([states.mean(axis=0, dtype=np.float64), states.std(axis=0, dtype=np.float64)])
    assert np.abs(found - expected).max() < 1e-4
