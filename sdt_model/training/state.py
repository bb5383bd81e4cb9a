"""What training needs to go on after an interruption, as tensors by name: a checkpoint is safetensors, never a pickle.

A state has parts, such as the network's weights and the optimiser's moments; a tensor's name is `part.name`.
"""

from collections.abc import Mapping

from torch import Tensor
from torch.optim import Optimizer

OPTIMIZER = "adam"
"""The part that holds the optimiser's state, whichever optimiser it is: checkpoints are stored under this name."""


def pack_state(parts: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The tensors of all parts on the host, by `part.name`; they may share memory with the originals."""
    return {
        f"{part}.{name}": value.detach().cpu().contiguous()
        for part, tensors in parts.items()
        for name, value in tensors.items()
    }


def unpack_state(state: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    """The tensors of one part, by their names within it."""
    prefix = f"{part}."
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """What any torch optimiser remembers of its parameters, by `<parameter's number>.<name>`.

    Raises:
        TypeError: it remembers something that is no tensor.
    """
    tensors: dict[str, Tensor] = {}
    for index, values in optimizer.state_dict()["state"].items():
        for name, value in values.items():
            if value is None:  # a moment that the optimiser does not use
                continue
            if not isinstance(value, Tensor):
                raise TypeError(
                    f"{type(optimizer).__name__} keeps {name!r} as {type(value).__name__}: only tensors can be stored"
                )
            tensors[f"{index}.{name}"] = value
    return tensors


def restore_optimizer(optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Give an optimiser of the same parameters back what `optimizer_tensors` took from it."""
    state = optimizer.state_dict()
    for key, value in tensors.items():
        index, name = key.split(".")
        state["state"].setdefault(int(index), {})[name] = value
    optimizer.load_state_dict(state)
