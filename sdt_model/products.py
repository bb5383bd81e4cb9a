"""Products in bfloat16 on a processor that multiplies it itself (AMX), for training.

What goes in and what comes out is float32, and so is all that lies between two products. Factors and results are
rounded, as on a GPU; the sums within a product are float32.
"""

from typing import Any

import torch
from torch import Tensor

# The processor's library makes a kernel for every number of rows that it meets, and keeps it. And whole tiles are twice
# as fast as others.
_ROWS = 32


def half_product(x: Tensor, weight: Tensor) -> Tensor:
    """(P, N, in) @ (P, in, out) -> (P, N, out), all float32."""
    found: Tensor = _HalfProduct.apply(x, weight)  # type: ignore[no-untyped-call]
    return found


class _HalfProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        rounded = _rounded(x), weight.bfloat16()
        ctx.save_for_backward(*rounded)
        return torch.bmm(*rounded)[:, : x.shape[1]].float()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        (gradient,) = gradients
        rounded = _rounded(gradient)
        of_x = torch.bmm(rounded, weight.mT)[:, : gradient.shape[1]].float()
        return of_x, torch.bmm(x.mT, rounded).float()


def _rounded(x: Tensor) -> Tensor:
    """(P, N, C) in bfloat16, with rows of zeros up to a whole number of tiles."""
    rows = x.shape[1]
    if not (lacking := -rows % _ROWS):
        return x.bfloat16()
    whole = x.new_empty(x.shape[0], rows + lacking, x.shape[2], dtype=torch.bfloat16)
    whole[:, :rows] = x
    whole[:, rows:] = 0
    return whole
