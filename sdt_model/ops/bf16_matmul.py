"""Products in bfloat16 on a processor that multiplies it itself (AMX), for training.

What goes in and what comes out is float32, and so is all that lies between two products. Factors are rounded, as on a
GPU, and of many rows so are results; the sums within a product are float32.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

# Up to so many rows it costs less to have the library round the factors while it reads them, at every product, than to
# write rounded weights and gradients to memory and read them again.
_FEW = 192

# Rows are filled up to a multiple, as the processor's library makes a kernel for every number of rows that it meets,
# and keeps it. Of many rows, which are rounded here, whole tiles of 32 are twice as fast as others. Of few, 16 do as
# well, and are fewer.
_TILES = {torch.bfloat16: 32, torch.float32: 16}


def bf16_matmul(x: Tensor, weight: Tensor) -> Tensor:
    """Multiply (P, N, in) by (P, in, out) to (P, N, out): float32 in and out, factors rounded to bfloat16."""
    function = _FewRows if x.shape[1] <= _FEW else _ManyRows
    product: Tensor = function.apply(x, weight)  # type: ignore[no-untyped-call]
    return product


class _FewRows(torch.autograd.Function):
    """The library rounds the factors of every product while it reads them."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        padded = _padded(x, torch.float32)
        ctx.save_for_backward(padded, weight)
        with _rounding():
            return torch.bmm(padded, weight)[:, : x.shape[1]]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        (gradient,) = gradients
        padded = _padded(gradient, torch.float32)
        with _rounding():
            return torch.bmm(padded, weight.mT)[:, : gradient.shape[1]], torch.bmm(x.mT, padded)


@contextmanager
def _rounding() -> Iterator[None]:
    """Within it the library rounds the factors of products itself."""
    settings = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]  # it is made when torch is imported
    before = settings.fp32_precision
    settings.fp32_precision = "bf16"
    try:
        yield
    finally:
        settings.fp32_precision = before


class _ManyRows(torch.autograd.Function):
    """Factors are rounded once, and the backward pass uses them again."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        rounded = _padded(x, torch.bfloat16), weight.bfloat16()
        ctx.save_for_backward(*rounded)
        return torch.bmm(*rounded)[:, : x.shape[1]].float()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        (gradient,) = gradients
        rounded = _padded(gradient, torch.bfloat16)
        of_x = torch.bmm(rounded, weight.mT)[:, : gradient.shape[1]].float()
        # The library multiplies by columns slowly enough that to copy them into rows first pays.
        return of_x, torch.bmm(x.mT.contiguous(), rounded).float()


def _padded(x: Tensor, kind: torch.dtype) -> Tensor:
    """(P, N, C) as ``kind``, with rows of zeros up to a whole number of tiles."""
    rows = x.shape[1]
    if not (lacking := -rows % _TILES[kind]):
        return x.to(kind)
    padded = x.new_empty(x.shape[0], rows + lacking, x.shape[2], dtype=kind)
    padded[:, :rows] = x
    padded[:, rows:] = 0
    return padded
