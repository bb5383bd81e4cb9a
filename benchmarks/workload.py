"""What is measured on: made-up features with the published widths, in conversations as long as MELD's."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from sdt_model.config import Modality
from sdt_model.conversations import Conversations

DIMS: dict[Modality, int] = {"text": 1024, "audio": 300, "visual": 342}
CLASSES = 7
# How many of MELD's 1,038 training dialogues have 1, 2, ... 24 utterances.
_MELD = (70, 60, 54, 48, 67, 61, 74, 67, 50, 57, 55, 54, 36, 41, 43, 51, 30, 28, 27, 20, 20, 13, 7, 5)


def conversations() -> Conversations:
    """MELD's training dialogues in random order, with made-up content; every modality is present."""
    chance = np.random.default_rng(0)
    lengths = chance.permutation(np.repeat(np.arange(1, len(_MELD) + 1), _MELD))
    rows = int(lengths.sum())
    return Conversations(
        features={name: chance.standard_normal((rows, dim), np.float32) for name, dim in DIMS.items()},
        present=np.ones((len(DIMS), rows), bool),
        speaker=chance.integers(0, 3, rows),
        label=chance.integers(0, CLASSES, rows),
        offset=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
    )


def batches(data: Conversations, size: int, count: int) -> Iterator[list[int]]:
    """``count`` batches of ``size`` dialogues, in their random order."""
    for number in range(count):
        yield [i % len(data.lengths) for i in range(number * size, (number + 1) * size)]


def padded(data: Conversations, chosen: list[int]) -> tuple[dict[Modality, Tensor], Tensor, Tensor, Tensor]:
    """The same dialogues as the baseline takes them: features (B, T, C), mask, speaker and label (B, T)."""
    lengths = data.lengths[chosen]
    mask = torch.from_numpy(np.arange(lengths.max())[None] < lengths[:, None])
    rows = torch.from_numpy(data.rows(chosen))

    def spread(values: Tensor) -> Tensor:
        filled = torch.zeros((*mask.shape, *values.shape[1:]), dtype=values.dtype)
        filled[mask] = values[rows]
        return filled

    features = {name: spread(torch.from_numpy(values)) for name, values in data.features.items()}
    return features, mask, spread(torch.from_numpy(data.speaker)), spread(torch.from_numpy(data.label))
