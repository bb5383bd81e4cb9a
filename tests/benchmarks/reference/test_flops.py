"""Shares of the machine's rate rest on a count of operations: torch's own counter finds the same ones."""

import math
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from benchmarks.reference.flops import folded_flops, forward_flops, training_flops
from benchmarks.speed import our_training, training_config
from benchmarks.workload import CLASSES, DIMS, conversations
from sdt_model.batch import pack
from sdt_model.config import ModelConfig
from sdt_model.conversations import Conversations
from sdt_model.inference import InferenceSDT
from sdt_model.model import SDT

CHOSEN = [0, 1, 2, 3, 4]
Shape = list[int]


@pytest.fixture(scope="module")
def data() -> Conversations:
    return conversations()


@pytest.fixture(scope="module")
def lengths(data: Conversations) -> list[int]:
    return [int(length) for length in data.lengths[CHOSEN]]


def counter() -> FlopCounterMode:
    """torch's, and what it passes over: products in place, and a processor's attention."""

    def product(_: Shape, left: Shape, right: Shape, **__: Any) -> int:
        return 2 * math.prod(left) * right[-1]

    def attention(query: Shape, key: Shape, value: Shape, *_: Any, **__: Any) -> int:
        return int(sdpa_flop_count(query, key, value))

    aten = torch.ops.aten
    missed = {
        aten.addmm_: product,
        aten.baddbmm_: product,
        aten._scaled_dot_product_flash_attention_for_cpu: attention,
    }
    return FlopCounterMode(display=False, custom_mapping=missed)


@pytest.mark.parametrize("gates", ["identity", "learned"])
def test_a_forward_pass(gates: str, data: Conversations, lengths: list[int]) -> None:
    config = ModelConfig.model_validate({"hidden": 64, "unimodal_gates": gates})
    network = SDT(config, DIMS, CLASSES).eval()
    with counter() as counted, torch.inference_mode():
        network(pack(data, CHOSEN))
    assert counted.get_total_flops() == forward_flops(config, DIMS, CLASSES, lengths)


def test_a_training_step(data: Conversations, lengths: list[int]) -> None:
    run = our_training(data, 64)
    with counter() as counted:
        run(CHOSEN)
    assert counted.get_total_flops() == training_flops(training_config(64).model, DIMS, CLASSES, lengths)


@pytest.mark.parametrize("width", [256, 512])  # of the three inputs none is narrower, and two are
def test_labelling(width: int, data: Conversations, lengths: list[int]) -> None:
    config = training_config(width).model
    network = InferenceSDT(SDT(config, DIMS, CLASSES))
    batch = pack(data, CHOSEN)
    network(batch)  # the first time it works out what positions become
    with counter() as counted:
        network(batch)
    assert counted.get_total_flops() == folded_flops(config, DIMS, CLASSES, lengths)
