import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sdt_model.products import half_product


@given(st.integers(1, 3), st.integers(1, 70) | st.integers(180, 230), st.integers(1, 40), st.integers(1, 40))
def test_values_and_gradients_are_the_exact_ones_but_for_rounding(
    pairs: int, rows: int, inputs: int, outputs: int
) -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(pairs, rows, inputs), torch.randn(pairs, inputs, outputs)
    x.requires_grad_(), weight.requires_grad_()
    found = half_product(x, weight)
    gradient = torch.randn_like(found)
    found.backward(gradient)
    exact_x, exact_weight, exact = (t.detach().double() for t in (x, weight, gradient))
    for value, left, right in (
        (found, exact_x, exact_weight),
        (x.grad, exact, exact_weight.mT),
        (weight.grad, exact_x.mT, exact),
    ):
        assert value is not None and value.dtype == torch.float32
        # Two factors and a result, each rounded to 8 bits, by up to 2**-8 of it; and a little for float32's sums.
        assert ((value.double() - left @ right).abs() <= 2**-6 * (left.abs() @ right.abs())).all()


@pytest.mark.parametrize("rows", [31, 32, 33, 192, 193])
def test_rows_do_not_depend_on_how_many_there_are(rows: int) -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(2, 224, 16), torch.randn(2, 16, 8)
    torch.testing.assert_close(
        half_product(x[:, :rows], weight), half_product(x, weight)[:, :rows], rtol=2**-7, atol=1e-6
    )


def test_other_products_of_the_process_stay_exact() -> None:
    """The library is told to round for these alone, also where one fails."""
    settings = torch.backends.mkldnn.matmul
    before = settings.fp32_precision
    x, weight = torch.randn(1, 4, 8, requires_grad=True), torch.randn(1, 8, 8)
    half_product(x, weight).sum().backward()
    with pytest.raises(RuntimeError, match="size"):
        half_product(x, weight[:, :3])
    assert settings.fp32_precision == before
