import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sdt_model.moments import Moments


@given(st.lists(st.integers(0, 5), min_size=1, max_size=6), st.floats(-1e5, 1e5, width=32), st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_parts_of_any_size_give_the_moments_of_the_whole(parts: list[int], offset: float, seed: int) -> None:
    vectors = np.random.default_rng(seed).standard_normal((sum(parts), 3)) + offset
    vectors[:, 2] = offset
    moments = Moments(3)
    for part in np.split(vectors, np.cumsum(parts)[:-1]):
        moments.add(part)
    assert moments.count == len(vectors)
    if len(vectors):
        np.testing.assert_allclose(moments.mean, vectors.mean(axis=0), rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(moments.deviation, vectors.std(axis=0), rtol=1e-6, atol=1e-9)
        assert moments.deviation[2] == 0
    else:
        assert not moments.mean.any() and not moments.deviation.any()


def test_a_large_constant_offset_does_not_drown_the_spread() -> None:
    vectors = 1e8 + np.random.default_rng(0).standard_normal((1000, 2))
    around_the_first, around_zero = Moments(2), Moments(2, origin=np.zeros(2))
    for moments in (around_the_first, around_zero):
        moments.add(vectors)
    np.testing.assert_allclose(around_the_first.deviation, vectors.std(axis=0), rtol=1e-6)
    assert np.abs(around_zero.deviation - vectors.std(axis=0)).max() > 0.1


def test_sums_are_of_double_precision_whatever_the_vectors_are() -> None:
    vectors = np.full((3, 1), 0.1, np.float32)
    moments = Moments(1, origin=np.zeros(1))
    moments.add(vectors)
    assert moments.mean.dtype == np.float64 and moments.mean[0] == float(np.float32(0.1))
