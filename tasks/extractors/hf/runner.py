"""Running a pretrained encoder of any modality, and pooling its states."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sdt_model.moments import Moments
from sdt_model.text_encoder.encoder import load_body
from tasks.errors import WorkflowError

HALF, FULL = "float16", "float32"


class Running:
    """An encoder with its weights: on the worker's GPU in half precision, if it has one, else on the CPU."""

    def __init__(self, folder: Path, dtype: str | None = None) -> None:
        gpu = torch.cuda.is_available()
        self.device = torch.device("cuda" if gpu else "cpu")
        self.dtype = getattr(torch, dtype or (HALF if gpu else FULL))
        self.batch_scale = 16 if gpu else 1  # size of a batch relative to that of a CPU
        try:
            self.body: Any = load_body(folder, dtype or (HALF if gpu else FULL)).eval().to(self.device)
        except ValueError as error:
            raise WorkflowError(str(error)) from error

    @torch.inference_mode()
    def states(self, inputs: Any, layers: int = 1) -> Tensor:
        """Compute states (B, T, C), or (B, C, H, W) of a convolutional encoder, averaged over the last ``layers``."""
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


def empty_moments(rows: int, dim: int) -> list[Moments]:
    """Make running moments for each utterance, around 0, so that the parts of its states do not matter."""
    return [Moments(dim, origin=np.zeros(dim)) for _ in range(rows)]


def pooled(moments: Sequence[Moments]) -> npt.NDArray[np.float32]:
    """Join mean and deviation of each utterance's states: (rows, 2C)."""
    return np.stack([np.concatenate([each.mean, each.deviation]) for each in moments]).astype(np.float32)
