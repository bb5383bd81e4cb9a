"""Numbers computed once with the SDT authors' published implementation, read into this model's layout."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor

from sdt_model.batch import Conversations
from sdt_model.config import MODALITIES, ModelConfig, ObjectiveConfig
from sdt_model.linears import Linears
from sdt_model.model import SDT
from sdt_model.objective import Objective

INITIAL = {"text": "t", "audio": "a", "visual": "v"}
PAIRS = [(source, target) for target in MODALITIES for source in MODALITIES]
# The published reductions read the modality's own transformer first, then the others in the order text, audio, visual.
PROJECTIONS = {"text": "textf_input", "audio": "acouf_input", "visual": "visuf_input"}


@dataclass(frozen=True)
class Published:
    """The vectors: ``tensors`` by their key, ``config`` of the run that made them."""

    tensors: dict[str, Tensor]
    config: dict[str, Any]

    def weight(self, name: str, kind: str = "weight.") -> Tensor:
        return self.tensors[kind + name]


@cache
def published() -> Published:
    with safe_open(Path(__file__).parent / "data" / "sdt_meld.safetensors", "pt") as file:
        return Published({key: file.get_tensor(key) for key in file.keys()}, json.loads(file.metadata()["config"]))  # noqa: SIM118


def conversations() -> Conversations:
    """The padded inputs of the vectors, packed."""
    vectors = published()
    mask = vectors.tensors["input.mask"].bool()

    def packed(name: str) -> Any:
        return vectors.tensors[f"input.{name}"][mask].numpy()

    return Conversations(
        features={name: packed(name) for name in MODALITIES},
        present=np.ones((3, int(mask.sum())), dtype=bool),
        speaker=packed("speaker").astype(np.int64),
        label=packed("label").astype(np.int64),
        offset=np.concatenate([[0], np.cumsum(vectors.config["lengths"])]).astype(np.int64),
    )


def model() -> SDT:
    """The network of the vectors with their initial weights, dropout 0."""
    vectors = published()
    config = ModelConfig(
        hidden=vectors.config["hidden_dim"],
        heads=vectors.config["heads"],
        dropout=0.0,
        speakers=vectors.config["speakers"],
        unimodal_gates="identity",
        clip=None,
    )
    network = SDT(config, vectors.config["dims"], vectors.config["classes"])
    with torch.no_grad():
        for parameter, names in correspondence(network):
            parameter.copy_(assemble(names, "weight."))
    return network


def correspondence(network: SDT) -> list[tuple[Tensor, list[str]]]:
    """Each parameter and the published names whose tensors make it up (see `assemble`)."""
    found: list[tuple[Tensor, list[str]]] = []

    def stacked(linears: Linears, names: list[str]) -> None:
        found.append((linears.weight, [f"{name}.weight" for name in names]))
        if linears.bias is not None:
            found.append((linears.bias, [f"{name}.bias" for name in names]))

    layer = [f"{INITIAL[s]}_{INITIAL[t]}.transformer_inter.0" for s, t in PAIRS]
    stacked(network.transformers.query, [f"{name}.self_attn.linear_q" for name in layer])
    for kind in ("weight", "bias"):
        both = [f"{name}.self_attn.linear_{part}.{kind}" for name in layer for part in "kv"]
        found.append((getattr(network.transformers.key_value, kind), both))
        norms = [f"{name}.feed_forward.layer_norm.{kind}" for name in layer]
        found.append((getattr(network.transformers, f"norm_{kind}"), norms))
    stacked(network.transformers.attended, [f"{name}.self_attn.linear" for name in layer])
    stacked(network.transformers.inner, [f"{name}.feed_forward.w_1" for name in layer])
    stacked(network.transformers.outer, [f"{name}.feed_forward.w_2" for name in layer])
    stacked(network.reduce, [f"features_reduce_{INITIAL[m]}" for m in MODALITIES])
    stacked(network.students, [f"{INITIAL[m]}_output_layer.2" for m in MODALITIES])
    for linear, name in zip(network.project, PROJECTIONS.values(), strict=True):
        found.append((linear.weight, [f"{name}.weight"]))
    found.append((network.speaker.weight, ["speaker_embeddings.weight"]))
    found.append((network.multimodal_gate.weight, ["last_gate.fc.weight"]))
    found.append((network.teacher.weight, ["all_output_layer.weight"]))
    found.append((network.teacher.bias, ["all_output_layer.bias"]))
    return found


def assemble(names: list[str], kind: str) -> Tensor:
    """The published tensors in this model's layout: stacked ones transposed, keys beside values."""
    tensors = [published().tensors[kind + name] for name in names]
    if names[0].startswith("features_reduce") and names[0].endswith("weight"):
        tensors = [_own_order(tensor, position) for position, tensor in enumerate(tensors)]
    if len(tensors) == 1:
        return tensors[0].squeeze(-1)
    stacked = torch.stack([t.T if t.dim() == 2 else t[None] for t in tensors])
    if "linear_k" in names[0]:
        return torch.cat([stacked[0::2], stacked[1::2]], dim=-1)
    return stacked


def _own_order(weight: Tensor, target: int) -> Tensor:
    """Columns of a reduction from the published order (own, then the rest) to text, audio, visual."""
    width = weight.shape[0]
    order = [target, *(m for m in range(3) if m != target)]
    return torch.cat([weight[:, order.index(m) * width : (order.index(m) + 1) * width] for m in range(3)], dim=1)


def objective() -> Objective:
    config = published().config
    emotions = tuple(str(k) for k in range(config["classes"]))
    return Objective(ObjectiveConfig(temperature=config["temperature"]), MODALITIES, emotions, conversations().label)
