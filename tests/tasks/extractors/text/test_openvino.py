"""The compiled encoder: its rows, its threads, and its integers."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tasks.extractors.text.openvino import Compiled


class Sums(nn.Module):
    """Token ids (B, T) to the sum of their rows, through a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.rows, self.layer = nn.Embedding(50, 64), nn.Linear(64, 32)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.layer(self.rows(tokens).sum(dim=1))


def test_every_sequence_gets_its_own_row_whatever_its_length() -> None:
    sequences = [[n % 50] * (1 + n * 7 % 40) for n in range(300)] + [list(range(50)) * 30]
    found = Compiled(Sums(), 32)(sequences)
    with torch.inference_mode():
        expected = np.concatenate([Sums()(torch.tensor([sequence])).numpy() for sequence in sequences])
    assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()
    assert Compiled(Sums(), 32)([]).shape == (0, 32)


@pytest.mark.parametrize("threads", [1, 2])
def test_as_many_batches_at_once_as_torch_has_threads(threads: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert len(Compiled(Sums(), 32)._queue) == threads
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("has", [True, False])
def test_integers_are_close_to_what_they_stand_for(has: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights are rounded on every processor, and kept as integers on one that multiplies them."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_vnni": has})
    sequences, encoder = [[n, n + 1, n + 2] for n in range(40)], Sums()
    exact, rounded = Compiled(Sums(), 32)(sequences), Compiled(encoder, 32, int8=True)(sequences)
    assert 0 < np.abs(exact - rounded).max() < 0.03 * np.abs(exact).max()
    assert (encoder.layer.get_buffer("weights").dtype == torch.int8) == has
