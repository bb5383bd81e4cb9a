"""Floating-point operations of the model's matrix products, counted from its configuration."""

from collections.abc import Mapping, Sequence

from sdt_model.config import Modality, ModelConfig


def forward_flops(config: ModelConfig, dims: Mapping[Modality, int], classes: int, lengths: Sequence[int]) -> int:
    """One forward pass over conversations of these lengths; a multiply and an add are two.

    Only what the mathematics needs: valid utterances, and no product with a frozen identity.
    """
    rows, width, count = sum(lengths), config.hidden, len(dims)
    pairs = count * count
    project = rows * width * sum(dims.values())
    transformers = pairs * 6 * rows * width**2  # query, key, value, attended, and two of the feed-forward
    attention = pairs * 2 * width * sum(length**2 for length in lengths)
    gates = pairs * rows * width**2 if config.unimodal_gates == "learned" else 0
    fusion = pairs * rows * width**2 + count * rows * width**2  # the reductions, and the multimodal gate
    heads = (count + 1) * rows * width * classes
    return 2 * (project + transformers + attention + gates + fusion + heads)


def folded_flops(config: ModelConfig, dims: Mapping[Modality, int], classes: int, lengths: Sequence[int]) -> int:
    """One forward pass of `InferenceSDT`, as labelling runs it: fewer, where features are narrower than the network."""
    rows, width, count = sum(lengths), config.hidden, len(dims)
    read = [dim + config.speakers + 1 for dim in dims.values()]
    saved = sum(3 * count * rows * width * (width - size) for size in read if size < width)  # query, key and value
    speakers = count * rows * (config.speakers + 1) * width
    return forward_flops(config, dims, classes, lengths) - 2 * (saved - speakers)


def training_flops(config: ModelConfig, dims: Mapping[Modality, int], classes: int, lengths: Sequence[int]) -> int:
    """One training step: forward, and backward for weights and for inputs; features need no gradient."""
    unneeded = 2 * sum(lengths) * config.hidden * sum(dims.values())
    return 3 * forward_flops(config, dims, classes, lengths) - unneeded
