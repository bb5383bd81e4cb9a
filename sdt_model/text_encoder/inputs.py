"""Token sequences of like length side by side, as an encoder takes them; padding costs as much as tokens do."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from sdt_model.text_encoder.windows import Window

Item = TypeVar("Item")


@dataclass(frozen=True)
class TokenBatch:
    """Windows side by side: B sequences of T tokens, with U utterances to read out.

    Attributes:
        tokens: (B, T) token ids.
        mask: (B, T) 1 where there is a token, 0 where there is padding.
        places: (P,) which of the B*T tokens belong to an utterance.
        owners: (P,) and to which of the U.
        rows: the U utterances' numbers.
    """

    tokens: Tensor
    mask: Tensor
    places: Tensor
    owners: Tensor
    rows: list[int]

    def to(self, device: torch.device) -> "TokenBatch":
        """The batch on ``device``."""
        return replace(
            self,
            tokens=self.tokens.to(device),
            mask=self.mask.to(device),
            places=self.places.to(device),
            owners=self.owners.to(device),
        )


def pack_windows(chosen: list[Window], padding: int) -> TokenBatch:
    """Pad windows to one length, and note whose the tokens are."""
    width = max(len(window.tokens) for window in chosen)
    tokens = np.full((len(chosen), width), padding, np.int64)
    mask = np.zeros((len(chosen), width), np.int64)
    places: list[int] = []
    owners: list[int] = []
    rows: list[int] = []
    for index, window in enumerate(chosen):
        tokens[index, : len(window.tokens)] = window.tokens
        mask[index, : len(window.tokens)] = 1
        for row, (begin, end) in zip(window.rows, window.spans, strict=True):
            places += range(index * width + begin, index * width + end)
            owners += [len(rows)] * (end - begin)
            rows.append(row)
    arrays = (torch.from_numpy(tokens), torch.from_numpy(mask), torch.tensor(places), torch.tensor(owners))
    return TokenBatch(*arrays, rows)


def batches_by_tokens(chosen: list[Window], most_tokens: int) -> Iterator[list[Window]]:
    """Windows of like length together, as `batches_by_length` takes them."""
    return batches_by_length(chosen, lambda window: len(window.tokens), most_tokens)


def batches_by_length(chosen: Iterable[Item], length: Callable[[Item], int], most: int) -> Iterator[list[Item]]:
    """Sequences of like length together: at most ``most``, a longer one alone; at most a quarter is padding."""
    batch: list[Item] = []
    filled = 0
    for sequence in sorted(chosen, key=length):
        padded = (len(batch) + 1) * length(sequence)
        filled += length(sequence)
        if batch and (padded > most or filled < 0.75 * padded):
            yield batch
            batch, filled = [], length(sequence)
        batch.append(sequence)
    if batch:
        yield batch


def batches_of_one_length(lengths: list[int], most: int) -> Iterator[list[int]]:
    """Numbers of the sequences, those of one length together: at most ``most``, a longer one alone; no padding."""
    for length, alike in groupby(sorted(range(len(lengths)), key=lengths.__getitem__), key=lengths.__getitem__):
        rows, room = list(alike), max(1, most // max(1, length))
        yield from (rows[begin : begin + room] for begin in range(0, len(rows), room))
