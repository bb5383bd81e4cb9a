import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sdt_model.ops.dropout import dropout


@pytest.mark.long
@given(st.floats(0.01, 0.95), st.integers(0, 1000))
def test_the_share_and_the_expectation_are_as_asked(probability: float, seed: int) -> None:
    torch.manual_seed(seed)
    found = dropout(torch.ones(3, 100, 333), probability, training=True)
    kept = found > 0
    deviation = (probability * (1 - probability) / found.numel()) ** 0.5
    assert kept.float().mean().item() == pytest.approx(1 - probability, abs=6 * deviation + 1e-4)
    torch.testing.assert_close(found[kept].unique(), torch.tensor([1 / (1 - probability)]), rtol=1e-3, atol=0)


def test_it_follows_the_seed_and_no_two_draws_are_alike() -> None:
    x = torch.randn(5, 7)
    torch.manual_seed(1)
    first, second = dropout(x, 0.5, training=True), dropout(x, 0.5, training=True)
    torch.manual_seed(1)
    assert torch.equal(dropout(x, 0.5, training=True), first) and not torch.equal(first, second)


def test_the_gradient_goes_where_the_value_goes() -> None:
    x = torch.ones(1000, requires_grad=True)
    found = dropout(x, 0.4, training=True)
    found.sum().backward()
    assert torch.equal(x.grad, found.detach())


def test_outside_of_training_nothing_happens() -> None:
    x = torch.randn(9)
    assert dropout(x, 0.5, training=False) is x and dropout(x, 0.0, training=True) is x
