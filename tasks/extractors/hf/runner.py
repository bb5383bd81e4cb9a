"""What the pretrained encoders of all modalities have in common once their weights are there."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sdt_model.text_encoder.encoder import load_body
from tasks.errors import WorkflowError

HALF, FULL = "float16", "float32"


class Running:
    """An encoder ready to encode: on the GPU in half precision where the worker was given one."""

    def __init__(self, folder: Path, dtype: str | None = None) -> None:
        gpu = torch.cuda.is_available()
        self.device = torch.device("cuda" if gpu else "cpu")
        self.dtype = getattr(torch, dtype or (HALF if gpu else FULL))
        self.room = 16 if gpu else 1  # by how much a batch may be larger than what suits a processor
        try:
            self.body: Any = load_body(folder, dtype or (HALF if gpu else FULL)).eval().to(self.device)
        except ValueError as error:
            raise WorkflowError(str(error)) from error

    @torch.inference_mode()
    def states(self, inputs: Any, layers: int = 1) -> Tensor:
        """The last states (B, T, C), or (B, C, H, W) of a convolutional encoder; averaged over the last layers."""
        placed = {
            name: value.to(self.device, self.dtype if value.is_floating_point() else None)
            for name, value in inputs.items()
        }
        if layers == 1:
            last: Tensor = self.body(**placed).last_hidden_state
            return last.float()
        out = self.body(**placed, output_hidden_states=True)
        # A last norm may come after the last layer's state as it is listed.
        chosen = (*out.hidden_states[:-1], out.last_hidden_state)[-layers:]
        return torch.stack([state.float() for state in chosen]).mean(dim=0)


class Moments:
    """Mean and deviation (rows, 2C) of states that come part by part, whatever the parts."""

    def __init__(self, rows: int, dim: int) -> None:
        self._count = np.zeros(rows)
        self._sum, self._squares = np.zeros((2, rows, dim))

    def add(self, row: int, states: Tensor) -> None:
        """``states``: (T, C)."""
        values = states.double().cpu().numpy()
        self._count[row] += len(values)
        self._sum[row] += values.sum(axis=0)
        self._squares[row] += np.square(values).sum(axis=0)

    def pooled(self) -> npt.NDArray[np.float32]:
        mean = self._sum / self._count[:, None]
        variance = np.maximum(self._squares / self._count[:, None] - np.square(mean), 0)
        return np.concatenate([mean, np.sqrt(variance)], axis=1).astype(np.float32)
