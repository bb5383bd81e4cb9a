"""A text encoder compiled for the processor at hand, by OpenVINO.

Texts of one length go through it together, so that nothing is padded. A text's vector is then the same bits in any
batch and on any number of threads: this held in every case tried, and a test guards it.
"""

import sys
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from sdt_model.text_encoder.inputs import batches_of_one_length

sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
# With that package OpenVINO reports its import to Google; without it, it does not.
import openvino  # noqa: E402

_BATCH_TOKENS = 1024  # their states stay in a core's cache
_INT8_GROUP = "64"  # values of a token's state that share a scale
_INTEGER_PRODUCTS = ("avx512_vnni", "avx_vnni", "amx_int8")  # instructions, any of which will do


class Compiled:
    """Vectors (N, C) of token sequences, by an ``encoder`` from token ids (B, T) to (B, C).

    It runs on as many threads as torch has here, those that Ray assigned to the worker; each takes its own batch.
    """

    def __init__(self, encoder: nn.Module, dim: int, int8: bool = False) -> None:
        if int8:
            _round_weights(encoder)
        with warnings.catch_warnings():  # the tracer's, of lengths that it takes for constants and that nothing reads
            warnings.simplefilter("ignore")
            traced = openvino.convert_model(encoder.eval(), example_input=torch.ones(2, 8, dtype=torch.long))
        threads = torch.get_num_threads()
        options = {
            "PERFORMANCE_HINT": "THROUGHPUT",
            "NUM_STREAMS": threads,
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": "f32",  # some processors would take bfloat16
            "ENABLE_CPU_PINNING": False,  # every worker would choose the same cores
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": _INT8_GROUP,
        }
        self._dim = dim
        self._queue = openvino.AsyncInferQueue(openvino.Core().compile_model(traced, "CPU", options))

    def __call__(self, sequences: list[list[int]]) -> npt.NDArray[np.float32]:
        vectors = np.empty((len(sequences), self._dim), np.float32)

        def keep(request: Any, rows: list[int]) -> None:
            vectors[rows] = request.get_output_tensor().data

        self._queue.set_callback(keep)
        for rows in batches_of_one_length(list(map(len, sequences)), _BATCH_TOKENS):
            self._queue.start_async(np.array([sequences[row] for row in rows]), rows)
        self._queue.wait_all()
        return vectors


def _round_weights(encoder: nn.Module) -> None:
    """Round the weights of every linear layer to 8 bits; as integers where the processor can multiply these."""
    has = torch.cpu.get_capabilities()
    kind = torch.int8 if any(has.get(name) for name in _INTEGER_PRODUCTS) else torch.float32
    layers = [(parent, name, child) for parent in encoder.modules() for name, child in parent.named_children()]
    for parent, name, layer in layers:
        if isinstance(layer, nn.Linear):
            setattr(parent, name, _Rounded(layer, kind))


class _Rounded(nn.Module):
    """A linear layer with a scale for each output; the compiler sees the pattern and multiplies integers.

    It rounds the other factor as well, each token by itself, where the processor has instructions for that. Where it
    has none, weights kept as integers save no time, and their products differ in the last bits with the batch.
    """

    def __init__(self, layer: nn.Linear, kind: torch.dtype) -> None:
        super().__init__()
        weights = layer.weight.detach()
        scale = weights.abs().amax(dim=1, keepdim=True).clamp(min=1e-12) / 127
        self.register_buffer("weights", (weights / scale).round().to(kind))
        self.register_buffer("scale", scale)
        self.bias = layer.bias

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.weights.float() * self.scale, self.bias)  # type: ignore[operator]
