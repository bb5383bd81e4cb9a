from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sdt_model.training.modality_dropout import drop_modalities


@given(
    arrays(bool, st.tuples(st.integers(1, 4), st.integers(1, 8))), st.floats(0, 1, exclude_max=True), st.integers(0, 99)
)
def test_it_gives_nothing_and_leaves_something(there: np.ndarray, probability: float, seed: int) -> None:
    left = drop_modalities(there, probability, np.random.default_rng(seed))
    assert left.shape == there.shape and left.dtype == bool
    assert not (left & ~there).any()
    assert (left.any(axis=0) == there.any(axis=0)).all()


def test_every_smaller_subset_of_a_conversation_is_as_likely() -> None:
    chance = np.random.default_rng(0)
    there = np.ones((3, 1), bool)
    seen = Counter(tuple(drop_modalities(there, 0.5, chance)[:, 0].tolist()) for _ in range(8000))
    assert len(seen) == 7
    # Of conversation and utterance neither is cut in a quarter. The single ones are what two draws leave most often.
    assert seen[True, True, True] / 8000 == pytest.approx(0.25, abs=0.02)
    for same in ([k for k in seen if sum(k) == 1], [k for k in seen if sum(k) == 2]):
        shares = [seen[subset] / 8000 for subset in same]
        assert max(shares) - min(shares) < 0.03 and min(shares) > 0.07


def test_a_conversation_loses_a_modality_as_a_whole_and_an_utterance_by_itself() -> None:
    chance = np.random.default_rng(0)
    found = [drop_modalities(np.ones((3, 6), bool), 0.3, chance) for _ in range(300)]
    whole = [(~left.any(axis=1)).any() for left in found]
    mixed = [len({tuple(column) for column in left.T}) > 1 for left in found]
    assert 0.2 < np.mean(whole) < 0.45 and np.mean(mixed) > 0.5


def test_one_modality_is_never_lost() -> None:
    there = np.array([[True, False, True]])
    assert (drop_modalities(there, 0.9, np.random.default_rng(0)) == there).all()
