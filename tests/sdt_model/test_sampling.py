import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdt_model.config import OptimConfig
from sdt_model.sampling import budget_batches, cut, scoring_batches, training_batches, window_stretches
from tests.fixtures import conversations as made

lengths = st.lists(st.integers(1, 40), min_size=1, max_size=60).map(np.array)


@given(lengths, st.integers(1, 9), st.integers(1, 3), st.integers(0, 5), st.sampled_from([None, 5, 60]))
def test_an_epoch_holds_each_conversation_once(
    lengths: np.ndarray, size: int, workers: int, epoch: int, utterances: int | None
) -> None:
    if len(lengths) < workers or size < workers:
        return
    optim = OptimConfig(batch_conversations=size, batch_utterances=utterances, seed=1)
    batches = training_batches(lengths, optim, workers, epoch)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    assert all(len(batch) >= workers for batch in batches)
    assert batches == training_batches(lengths, optim, workers, epoch)


def test_batches_by_utterances_are_about_as_large_as_asked() -> None:
    lengths = np.random.default_rng(0).integers(1, 30, 500)
    batches = training_batches(lengths, OptimConfig(batch_utterances=100), 1, 0)
    sizes = [int(lengths[batch].sum()) for batch in batches]
    assert max(sizes) <= 100 and np.median(sizes) > 80
    spread = [np.ptp(lengths[batch]) for batch in batches]
    assert np.median(spread) < 4, "conversations of like length go together"


def test_epochs_differ() -> None:
    lengths, optim = np.arange(1, 50), OptimConfig(batch_conversations=8)
    assert training_batches(lengths, optim, 1, 0) != training_batches(lengths, optim, 1, 1)


def test_too_few_conversations_for_the_workers() -> None:
    with pytest.raises(ValueError, match="2 conversations cannot be shared among 3 workers"):
        training_batches(np.array([4, 4]), OptimConfig(), 3, 0)


@given(lengths, st.integers(1, 100))
def test_a_budget_is_kept_unless_one_conversation_exceeds_it(lengths: np.ndarray, budget: int) -> None:
    batches = list(budget_batches(lengths, budget))
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    assert all(lengths[batch].sum() <= budget or len(batch) == 1 for batch in batches)


@given(lengths, st.integers(2, 30))
def test_windows_keep_every_utterance_once_and_never_without_context(lengths: np.ndarray, size: int) -> None:
    offset = np.concatenate([[0], np.cumsum(lengths)])
    found = window_stretches(offset, size)
    assert (found.end - found.begin <= size).all()
    kept = [row for first, last in zip(found.kept_from, found.kept_to, strict=True) for row in range(first, last)]
    assert kept == list(range(lengths.sum()))
    for begin, end, first, last in zip(*found, strict=True):
        own = np.searchsorted(offset, begin, side="right") - 1
        assert offset[own] <= begin <= first and last <= end <= offset[own + 1]
        assert first == offset[own] or first - begin >= size // 4
        assert last == offset[own + 1] or end - last >= size // 4


def test_a_conversation_that_fits_is_one_window() -> None:
    assert [part.tolist() for part in window_stretches(np.array([0, 8, 9]), 8)] == [[0, 8], [8, 9], [0, 8], [8, 9]]


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_score_everything_once_between_them(workers: int) -> None:
    data = made.conversations([3, 50, 1, 7, 7, 20])
    rows = []
    for rank in range(workers):
        for batch, kept in scoring_batches(data, 16, 24, rank, workers):
            assert kept.sum() <= 24 and len(batch.rows) % 32 == 0
            rows.extend(batch.rows[kept].tolist())
    assert sorted(rows) == list(range(88))


def test_long_conversations_are_trained_on_in_pieces_of_like_length() -> None:
    data = made.conversations([5, 23, 10])
    assert cut(data, 10).lengths.tolist() == [5, 7, 8, 8, 10]
    assert cut(data, 512).lengths.tolist() == [5, 23, 10]
