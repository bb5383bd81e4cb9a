"""Number formats of training. Labelling is float32 everywhere: with fewer bits a conversation's scores would depend on
the others in its batch."""

import torch

from sdt_model.config import Precision

_PROCESSORS_WITH_BFLOAT16 = ("amx_bf16", "avx512_bf16", "bf16", "sve_bf16")


def has_bfloat16(device: torch.device) -> bool:
    """Whether it multiplies bfloat16 itself; emulation crawls."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    found = torch.cpu.get_capabilities()
    return any(bool(found.get(name)) for name in _PROCESSORS_WITH_BFLOAT16)


def prepare_precision(device: torch.device, asked: Precision) -> None:
    """Allow TF32 for the float32 products of training on a GPU.

    Raises:
        ValueError: bfloat16 is asked for, and the device has none.
    """
    if asked == "bfloat16" and not has_bfloat16(device):
        raise ValueError(f"precision is bfloat16, which this {device.type} does not have: set it to auto or float32")
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")


def training_precision(device: torch.device, asked: Precision) -> torch.autocast:
    """What the forward pass of training runs in. ``auto`` leaves a processor in float32: few have units for less, and
    the same training would come out otherwise on those."""
    enabled = has_bfloat16(device) if device.type == "cuda" and asked == "auto" else asked == "bfloat16"
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled)
