import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sdt_model.products import half_product


@given(st.integers(1, 3), st.integers(1, 70), st.integers(1, 40), st.integers(1, 40))
def test_values_and_gradients_are_those_of_rounded_factors(pairs: int, rows: int, inputs: int, outputs: int) -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(pairs, rows, inputs), torch.randn(pairs, inputs, outputs)
    x.requires_grad_(), weight.requires_grad_()
    found = half_product(x, weight)
    gradient = torch.randn_like(found)
    found.backward(gradient)
    rough_x, rough_weight, rough = (t.detach().bfloat16().double() for t in (x, weight, gradient))
    for value, exact in (
        (found, rough_x @ rough_weight),
        (x.grad, rough @ rough_weight.mT),
        (weight.grad, rough_x.mT @ rough),
    ):
        assert value.dtype == torch.float32 and value.shape == exact.shape
        torch.testing.assert_close(value.double(), exact, rtol=2**-7, atol=2**-7)


@pytest.mark.parametrize("rows", [31, 32, 33])
def test_rows_do_not_depend_on_how_many_there_are(rows: int) -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(2, 64, 16), torch.randn(2, 16, 8)
    torch.testing.assert_close(
        half_product(x[:, :rows], weight), half_product(x, weight)[:, :rows], rtol=2**-7, atol=1e-6
    )
