"""Number formats of training, and of the scores that choose its epoch.

What `sdt evaluate` and `sdt label` say is float32 everywhere: with fewer bits a conversation's scores would depend on
the others in its batch.
"""

import torch

from sdt_model.config import WIDE, Precision


def prepare_precision(device: torch.device) -> None:
    """Allow TF32 for the float32 products of a training process on a GPU."""
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")


def training_precision(device: torch.device, asked: Precision) -> torch.autocast:
    """What the forward pass of training runs in on a GPU; on a processor float32."""
    enabled = asked == "auto" and device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled)


def uses_bf16_matmul(device: torch.device, asked: Precision, width: int) -> bool:
    """Whether a network of this width trains with `sdt_model.ops.bf16_matmul`, as its processor has AMX.

    Not by autocast: that would round activations as well, and the processor's library would make and keep a kernel for
    every size of batch that it meets.
    """
    native = device.type == "cpu" and bool(torch.cpu.get_capabilities().get("amx_bf16"))
    return asked == "auto" and native and width >= WIDE
