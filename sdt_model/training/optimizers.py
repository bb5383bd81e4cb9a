"""The optimisers that SDT can be trained with. To add one: its name in `sdt_model.config`, its entry here."""

from collections.abc import Callable, Iterable

import torch
from torch import nn
from torch.optim import Optimizer

from sdt_model.config import OptimConfig, OptimizerName


def adam(parameters: Iterable[nn.Parameter], optim: OptimConfig) -> Optimizer:
    """Adam with the weight decay added to the gradient, as published."""
    return torch.optim.Adam(parameters, lr=optim.learning_rate, weight_decay=optim.weight_decay, fused=True)


def adamw(parameters: Iterable[nn.Parameter], optim: OptimConfig) -> Optimizer:
    """Adam with the weight decay apart from the gradient (Loshchilov and Hutter 2019)."""
    return torch.optim.AdamW(parameters, lr=optim.learning_rate, weight_decay=optim.weight_decay, fused=True)


OPTIMIZERS: dict[OptimizerName, Callable[[Iterable[nn.Parameter], OptimConfig], Optimizer]] = {
    "adam": adam,
    "adamw": adamw,
}


def build_optimizer(parameters: Iterable[nn.Parameter], optim: OptimConfig) -> Optimizer:
    """The optimiser that the configuration names, over these parameters."""
    return OPTIMIZERS[optim.optimizer](parameters, optim)
