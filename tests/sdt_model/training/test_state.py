import re
from collections.abc import Callable

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.optim import SGD, Adagrad, Adam, AdamW, NAdam, Optimizer, RMSprop

from sdt_model.training.state import optimizer_tensors, pack_state, restore_optimizer, unpack_state

CHOICES: dict[str, Callable[[nn.Linear], Optimizer]] = {
    "Adam": lambda layer: Adam(layer.parameters(), lr=0.1, fused=True),
    "AdamW, two groups": lambda layer: AdamW([{"params": [layer.weight]}, {"params": [layer.bias], "lr": 0.5}], lr=0.1),
    "NAdam": lambda layer: NAdam(layer.parameters(), lr=0.1),
    "RMSprop": lambda layer: RMSprop(layer.parameters(), lr=0.1, momentum=0.9),
    "Adagrad": lambda layer: Adagrad(layer.parameters(), lr=0.1),
    "SGD with momentum": lambda layer: SGD(layer.parameters(), lr=0.1, momentum=0.9),
    "SGD, which remembers nothing": lambda layer: SGD(layer.parameters(), lr=0.1),
}


def steps(layer: nn.Linear, optimizer: Optimizer, numbers: range) -> Tensor:
    for number in numbers:
        optimizer.zero_grad()
        layer(torch.full((2, 3), 1.0 + number)).square().mean().backward()
        optimizer.step()
    return torch.cat([layer.weight.flatten(), layer.bias]).detach()


def fresh() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(3, 2)


@pytest.mark.parametrize("build", CHOICES.values(), ids=CHOICES)
def test_any_optimiser_goes_on_from_a_safetensors_file_as_if_it_had_not_stopped(
    build: Callable[[nn.Linear], Optimizer],
) -> None:
    layer = fresh()
    whole = steps(layer, build(layer), range(6))
    layer = fresh()
    optimizer = build(layer)
    steps(layer, optimizer, range(3))
    file = save(pack_state({"model": layer.state_dict(), "adam": optimizer_tensors(optimizer)}))
    layer = nn.Linear(3, 2)
    optimizer, state = build(layer), load(file)
    layer.load_state_dict(unpack_state(state, "model"))
    restore_optimizer(optimizer, unpack_state(state, "adam"))
    assert torch.equal(steps(layer, optimizer, range(3, 6)), whole)


def test_the_names_are_those_of_every_checkpoint_so_far() -> None:
    layer = fresh()
    optimizer = Adam(layer.parameters())
    steps(layer, optimizer, range(1))
    assert set(pack_state({"model": layer.state_dict(), "adam": optimizer_tensors(optimizer)})) == {
        "model.weight", "model.bias", "adam.0.step", "adam.0.exp_avg", "adam.0.exp_avg_sq",
        "adam.1.step", "adam.1.exp_avg", "adam.1.exp_avg_sq",
    }  # fmt: skip


def test_what_is_no_tensor_is_named() -> None:
    layer = fresh()
    optimizer = Adam(layer.parameters())
    steps(layer, optimizer, range(1))
    optimizer.state[layer.weight]["history"] = [1, 2]
    with pytest.raises(TypeError, match=re.escape("Adam keeps 'history' as list: only tensors can be stored")):
        optimizer_tensors(optimizer)
