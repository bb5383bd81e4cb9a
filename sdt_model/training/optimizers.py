"""The optimisers that SDT can be trained with. To add one: its name in `sdt_model.config`, its entry here."""

import math
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


def step_share(progress: float, optim: OptimConfig) -> float:
    """Share of the full step size, ``progress`` (0 to 1) into the run."""
    if progress < optim.warmup:
        return progress / optim.warmup
    rest = (1 - progress) / (1 - optim.warmup)
    return {"constant": 1.0, "linear": rest, "cosine": (1 - math.cos(math.pi * rest)) / 2}[optim.schedule]


def build_optimizer(parameters: Iterable[nn.Parameter], optim: OptimConfig) -> Optimizer:
    """The optimiser that the configuration names, over these parameters."""
    return OPTIMIZERS[optim.optimizer](parameters, optim)
