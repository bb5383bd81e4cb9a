"""Dropout whose random bits are drawn in bulk on a CPU: torch's own draws one Bernoulli variable at a time there.

Sixteen bits decide an element, so a probability is met to 1 in 65,536; the scale is that of the probability met, and
the expectation is exact. The bits come from torch's generator and follow its seed.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_STEPS = 2**16


class Dropout(nn.Dropout):
    """`dropout` as a module."""

    def forward(self, input: Tensor) -> Tensor:
        return dropout(input, self.p, self.training)


def dropout(x: Tensor, probability: float, training: bool) -> Tensor:
    """``x`` with each element zero with this probability and otherwise scaled up; ``x`` itself outside of training."""
    if not training or not probability:
        return x
    if x.device.type != "cpu" or torch.compiler.is_compiling():  # the compiler has its own generator
        return F.dropout(x, probability, training=True)
    return x * _random_scale(x.shape, probability).to(x.dtype)


def _random_scale(shape: torch.Size, probability: float) -> Tensor:
    """Zeros, and 1 / (1 - probability) where an element is kept."""
    count, dropped = shape.numel(), round(probability * _STEPS)
    words = torch.empty((count + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
    # Compared right into floats: by way of booleans it takes six times as long.
    scale = torch.ge(words.view(torch.int16)[:count].view(shape), dropped - _STEPS // 2, out=torch.empty(shape))
    return scale.mul_(_STEPS / (_STEPS - dropped))
