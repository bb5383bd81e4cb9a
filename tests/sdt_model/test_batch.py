import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sdt_model.batch import budget_batches, pack, training_batches
from tests.sdt_model import made

lengths = st.lists(st.integers(1, 40), min_size=1, max_size=60).map(np.array)


def test_pack_keeps_every_utterance_in_order() -> None:
    data = made.conversations([3, 1, 3, 5])
    batch = pack(data, [2, 0, 3])
    expected = np.concatenate([data.features["text"][4:7], data.features["text"][0:3], data.features["text"][7:12]])
    np.testing.assert_array_equal(batch.features[0].numpy(), expected)
    assert batch.position.tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 2, 3, 4]
    assert [group.shape for group in batch.groups] == [(2, 3), (1, 5)]


def test_restore_undoes_the_grouping() -> None:
    batch = pack(made.conversations([4, 2, 4, 1, 2]), [0, 1, 2, 3, 4])
    grouped = torch.cat([group.flatten() for group in batch.groups])
    assert grouped[batch.restore].tolist() == list(range(13))


def test_complete_only_if_every_modality_is_everywhere() -> None:
    assert pack(made.conversations([3, 2]), [0, 1]).complete
    assert not pack(made.conversations([30, 20], present=0.5), [0, 1]).complete


@given(lengths, st.integers(1, 9), st.integers(1, 3), st.integers(0, 5))
def test_an_epoch_holds_each_conversation_once(lengths: np.ndarray, size: int, workers: int, epoch: int) -> None:
    if len(lengths) < workers or size < workers:
        return
    batches = training_batches(lengths, size, workers, seed=1, epoch=epoch)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    assert all(len(batch) >= workers for batch in batches)
    assert batches == training_batches(lengths, size, workers, seed=1, epoch=epoch)


def test_epochs_differ() -> None:
    lengths = np.arange(1, 50)
    assert training_batches(lengths, 8, 1, 0, 0) != training_batches(lengths, 8, 1, 0, 1)


def test_too_few_conversations_for_the_workers() -> None:
    with pytest.raises(ValueError, match="2 conversations cannot be shared among 3 workers"):
        training_batches(np.array([4, 4]), 8, 3, 0, 0)


@given(lengths, st.integers(1, 100))
def test_a_budget_is_kept_unless_one_conversation_exceeds_it(lengths: np.ndarray, budget: int) -> None:
    batches = list(budget_batches(lengths, budget))
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    assert all(lengths[batch].sum() <= budget or len(batch) == 1 for batch in batches)
