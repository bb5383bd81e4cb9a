"""Linear maps side by side: one batched product does the work of many."""

import math

import torch
from torch import Tensor, nn

from sdt_model.ops.bf16_matmul import bf16_matmul


class StackedLinear(nn.Module):
    """``count`` linear maps side by side: (count, N, in) -> (count, N, out), initialised as ``nn.Linear`` is.

    Attributes:
        bf16: whether products are in bfloat16 in training, on a processor that has it.
    """

    bf16 = False

    def __init__(self, count: int, inputs: int, outputs: int, bias: bool = True) -> None:
        super().__init__()
        bound = 1 / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.empty(count, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(count, 1, outputs).uniform_(-bound, bound)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        if self.bf16 and self.training and not torch.compiler.is_compiling():
            product = bf16_matmul(x, self.weight)
            return product if self.bias is None else product + self.bias
        return torch.bmm(x, self.weight) if self.bias is None else torch.baddbmm(self.bias, x, self.weight)
