"""Batches of token sequences: nothing is lost, limits are kept, and it stays known whose each token is."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from sdt_model.text_encoder.inputs import batches_by_tokens, batches_of_one_length, pack_windows
from sdt_model.text_encoder.windows import SpecialTokens, token_windows

SPECIAL = SpecialTokens(begin=1, end=2, padding=0)


def test_packing_says_whose_each_token_is() -> None:
    turns = [[10], [11, 11], [12]]
    windows = list(token_windows(turns, [7, 8, 9], context=2, most_tokens=7, special=SPECIAL))
    batch = pack_windows(windows, padding=0)
    assert batch.rows == [7, 8, 9] and batch.tokens.shape == batch.mask.shape
    own = [batch.tokens.flatten()[batch.places[batch.owners == index]].tolist() for index in range(3)]
    assert own == [[10, 2], [11, 11, 2], [12, 2]]
    assert torch.equal(batch.mask == 0, batch.tokens == 0)


def test_batches_keep_to_their_tokens_and_lose_nothing() -> None:
    turns = [[5] * (1 + 7 * index % 11) for index in range(30)]
    windows = list(token_windows(turns, list(range(30)), context=0, most_tokens=20, special=SPECIAL))
    batches = list(batches_by_tokens(windows, most_tokens=24))
    assert sorted(row for batch in batches for window in batch for row in window.rows) == list(range(30))
    assert all(len(batch) * max(len(window.tokens) for window in batch) <= 24 for batch in batches)
    for batch in batches:
        sizes = [len(window.tokens) for window in batch]
        assert sum(sizes) >= 0.75 * len(sizes) * max(sizes)


@given(st.lists(st.integers(0, 30), max_size=60), st.integers(1, 64))
def test_batches_of_one_length_hold_every_sequence_once_and_no_padding(lengths: list[int], most: int) -> None:
    batches = list(batches_of_one_length(lengths, most))
    assert sorted(number for batch in batches for number in batch) == list(range(len(lengths)))
    for batch in batches:
        of = {lengths[number] for number in batch}
        assert len(of) == 1 and (len(batch) == 1 or len(batch) * max(1, of.pop()) <= most)
