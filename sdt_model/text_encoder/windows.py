"""What a text encoder reads at once: an utterance alone, or a stretch of its conversation.

With context the turns of a conversation follow one another in windows of at most so many tokens, and every token is
read once: the encoder sees what was said before and after, and costs about what it costs without context. A window
begins with turns that the one before has read out already, so that its first utterance has a past as well.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

Item = TypeVar("Item")


@dataclass(frozen=True)
class Window:
    """One input sequence.

    Attributes:
        tokens: token ids, special ones included.
        spans: for each utterance that is read out of it, where its tokens begin and end.
        rows: the utterances' numbers, one for each span.
    """

    tokens: list[int]
    spans: list[tuple[int, int]]
    rows: list[int]


@dataclass(frozen=True)
class Special:
    """The tokens around an utterance, and the one that fills a shorter sequence up."""

    begin: int
    end: int
    padding: int


@dataclass(frozen=True)
class WindowBatch:
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

    def to(self, device: torch.device) -> "WindowBatch":
        return replace(
            self,
            tokens=self.tokens.to(device),
            mask=self.mask.to(device),
            places=self.places.to(device),
            owners=self.owners.to(device),
        )


def windows(
    turns: list[list[int]], rows: list[int], context: int, most_tokens: int, special: Special
) -> Iterator[Window]:
    """Windows over one conversation; ``turns``: each utterance's token ids, in order, ``rows``: their numbers.

    With a ``context`` of 0 each utterance stands alone. Otherwise a window takes turns as long as they fit, after at
    most ``context`` earlier ones, which may fill half of it. A turn that is too long is cut at its end.
    """
    ended = [[*turn[: most_tokens - 2], special.end] for turn in turns]
    first = 0
    while first < len(ended):
        room = min(most_tokens // 2, most_tokens - 1 - len(ended[first]))
        start = first
        while start > max(0, first - context) and room >= len(ended[start - 1]):
            start -= 1
            room -= len(ended[start])
        tokens = [special.begin, *(token for turn in ended[start:first] for token in turn)]
        spans: list[tuple[int, int]] = []
        last = first
        while last < len(ended) and len(tokens) + len(ended[last]) <= most_tokens and (context or not spans):
            spans.append((len(tokens), len(tokens) + len(ended[last])))
            tokens += ended[last]
            last += 1
        yield Window(tokens, spans, rows[first:last])
        first = last


def pack_windows(chosen: list[Window], padding: int) -> WindowBatch:
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
    return WindowBatch(*arrays, rows)


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
