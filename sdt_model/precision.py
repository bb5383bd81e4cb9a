"""Number formats of training, and of the scores that choose its epoch.

What `sdt evaluate` and `sdt label` say is float32 everywhere: with fewer bits a conversation's scores would depend on
the others in its batch.
"""

import torch

from sdt_model.config import Precision


def prepare_precision(device: torch.device) -> None:
    """Allow TF32 for the float32 products of a training process on a GPU."""
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")


def training_precision(device: torch.device, asked: Precision) -> torch.autocast:
    """What the forward pass of training runs in.

    On a processor that is float32 even where it multiplies bfloat16 itself: its library keeps memory for every size of
    batch that it has met, gigabytes within an epoch, and a step takes as long.
    """
    enabled = asked == "auto" and device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled)
