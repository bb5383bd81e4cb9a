"""A trained model as files: safetensors and JSON, nothing that has to be unpickled."""

import hashlib
import json
from collections.abc import Mapping, Sequence

import torch
from safetensors.torch import load, save
from torch import Tensor

from sdt_model.bundle import CARD, DESCRIPTION, HISTORY, METRICS, WEIGHTS, Bundle, card
from sdt_model.model import SDT


def new_network(bundle: Bundle) -> SDT:
    """The network that a bundle describes, untrained."""
    dims = {modality: source.dim for modality, source in bundle.features.items()}
    return SDT(bundle.training.model, dims, len(bundle.emotions))


def to_files(bundle: Bundle, network: SDT, history: Sequence[Mapping[str, float]] = ()) -> dict[str, bytes]:
    """The bundle's files by name; the description last, so that a bundle with one is whole.

    ``history``: the losses and scores of every epoch, where they are known.
    """
    metrics = json.dumps(bundle.metrics, indent=1, sort_keys=True) + "\n"
    weights = save({name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()})
    described = bundle.model_copy(update={"hashes": {WEIGHTS: hashlib.sha256(weights).hexdigest()}})
    return {
        WEIGHTS: weights,
        METRICS: metrics.encode(),
        **({HISTORY: (json.dumps(list(history), indent=1) + "\n").encode()} if history else {}),
        CARD: card(bundle).encode(),
        DESCRIPTION: (described.model_dump_json(indent=1) + "\n").encode(),
    }


def _check_shapes(bundle: Bundle, state: Mapping[str, Tensor]) -> None:
    """Compare with the network that the description asks for, before memory is taken for it: it may ask for any."""
    try:
        with torch.device("meta"):  # shapes alone
            expected = {name: tuple(value.shape) for name, value in new_network(bundle).state_dict().items()}
    except (RuntimeError, OverflowError, TypeError) as error:
        raise ValueError(f"no network can be made as described: {error}") from error
    shapes = {name: tuple(value.shape) for name, value in state.items()}
    for name in sorted(expected.keys() | shapes.keys()):
        if expected.get(name) != shapes.get(name):
            raise ValueError(
                f"not the weights that are described: {name} is {shapes.get(name, 'missing')}, "
                f"described: {expected.get(name, 'none')}"
            )


def load_network(bundle: Bundle, weights: bytes) -> SDT:
    """The trained network, ready to predict.

    Raises:
        ValueError: the weights are not those of the description, or some of them are no numbers.
    """
    state = load(weights)
    _check_shapes(bundle, state)
    network = new_network(bundle)
    if spoilt := [name for name, value in state.items() if not value.isfinite().all()]:
        raise ValueError(f"values that are no numbers in {', '.join(sorted(spoilt)[:3])} ({len(spoilt)} tensors)")
    network.load_state_dict(state)
    return network.eval()
