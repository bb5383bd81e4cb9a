"""Number formats on a GPU. On a CPU everything is float32: few have units for anything less, and emulation crawls."""

import torch


def prepare_precision(device: torch.device) -> None:
    """Allow TF32 for the float32 products of training on a GPU."""
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")


def training_precision(device: torch.device) -> torch.autocast:
    """bfloat16 for the forward pass of training on a GPU that has it. Labelling is float32 everywhere: with fewer bits
    a conversation's scores would depend on the others in its batch."""
    native = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.autocast(device.type, torch.bfloat16, enabled=native)
