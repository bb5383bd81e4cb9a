import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sdt_model.ops.bf16_matmul import bf16_matmul
from sdt_model.ops.precision import uses_bf16_matmul


def factors_and_values(
    pairs: int, rows: int, inputs: int, outputs: int
) -> tuple[tuple[torch.Tensor, ...], tuple[torch.Tensor | None, ...]]:
    """Features, weights and the gradient of their product; the product, and the gradients of features and weights."""
    torch.manual_seed(0)
    x, weight = torch.randn(pairs, rows, inputs), torch.randn(pairs, inputs, outputs)
    x.requires_grad_(), weight.requires_grad_()
    found = bf16_matmul(x, weight)
    gradient = torch.randn_like(found)
    found.backward(gradient)
    return (x.detach(), weight.detach(), gradient), (found.detach(), x.grad, weight.grad)


@given(st.integers(1, 3), st.integers(193, 262), st.integers(1, 40), st.integers(1, 40))
def test_values_and_gradients_are_those_of_rounded_factors(pairs: int, rows: int, inputs: int, outputs: int) -> None:
    factors, values = factors_and_values(pairs, rows, inputs, outputs)
    rough_x, rough_weight, rough = (factor.bfloat16().double() for factor in factors)
    exact_values = (rough_x @ rough_weight, rough @ rough_weight.mT, rough_x.mT @ rough)
    for value, exact in zip(values, exact_values, strict=True):
        assert value is not None and value.dtype == torch.float32 and value.shape == exact.shape
        torch.testing.assert_close(value.double(), exact, rtol=2**-7, atol=2**-7)


@given(st.integers(1, 3), st.integers(1, 70) | st.integers(180, 192), st.integers(1, 40), st.integers(1, 40))
def test_of_few_rows_they_are_the_exact_ones_but_for_rounding(pairs: int, rows: int, inputs: int, outputs: int) -> None:
    """The library need not round the factors of a product that is too small to gain by it, nor on every processor."""
    factors, values = factors_and_values(pairs, rows, inputs, outputs)
    x, weight, gradient = (factor.double() for factor in factors)
    products = ((x, weight), (gradient, weight.mT), (x.mT, gradient))
    for value, (left, right) in zip(values, products, strict=True):
        exact = left @ right
        assert value is not None and value.dtype == torch.float32 and value.shape == exact.shape
        # Two factors, each rounded to 8 bits, by up to 2**-8 of it; and a little for float32's sums.
        assert ((value.double() - exact).abs() <= 1.02 * 2**-7 * (left.abs() @ right.abs())).all()


@pytest.mark.parametrize("rows", [31, 32, 33, 47, 49, 192, 193])
def test_rows_do_not_depend_on_how_many_there_are(rows: int) -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(2, 224, 16), torch.randn(2, 16, 8)
    # A processor without units for it does not round the factors of few rows: those are compared with few.
    among_others = x if rows > 192 or uses_bf16_matmul(torch.device("cpu"), "auto", 512) else x[:, :192]
    torch.testing.assert_close(
        bf16_matmul(x[:, :rows], weight), bf16_matmul(among_others, weight)[:, :rows], rtol=2**-7, atol=1e-6
    )


def test_other_products_of_the_process_stay_exact() -> None:
    """The library is told to round for these alone, also where one fails."""
    settings = torch.backends.mkldnn.matmul
    before = settings.fp32_precision
    x, weight = torch.randn(1, 4, 8, requires_grad=True), torch.randn(1, 8, 8)
    bf16_matmul(x, weight).sum().backward()
    with pytest.raises(RuntimeError, match="size"):
        bf16_matmul(x, weight[:, :3])
    assert settings.fp32_precision == before
