"""Conversations packed without padding: a batch is its valid utterances one after another.

Attention needs to know which utterances belong together. A batch's conversations lie in order of length, and a `Group`
says where those of one length lie: they attend together as one dense (G, L) block, and nothing has to be gathered.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sdt_model.config import Modality
from sdt_model.conversations import Conversations, Ints


class Group(NamedTuple):
    """Conversations of one ``length``, as many as ``conversations`` says: the batch's utterances from ``begin`` on."""

    begin: int
    conversations: int
    length: int

    @property
    def end(self) -> int:
        """Where its last utterance ends."""
        return self.begin + self.conversations * self.length


@dataclass(frozen=True)
class Batch:
    """N utterances of whole conversations, shorter conversations first.

    Attributes:
        modalities: the names of the M modalities, in the order of ``features``.
        features: for each of them (N, C).
        present: (M, N) bool.
        position: (N,) place in the conversation, from 0.
        speaker: (N,) order of appearance, -1 where unknown.
        label: (N,) class, -1 where not annotated.
        groups: where the conversations of each length lie.
        complete: whether every modality is present everywhere, so that no mask is needed.
        rows: (N,) which utterances of the `Conversations` these are; stays on the host.
    """

    modalities: tuple[Modality, ...]
    features: tuple[Tensor, ...]
    present: Tensor
    position: Tensor
    speaker: Tensor
    label: Tensor
    groups: tuple[Group, ...]
    complete: bool
    rows: Ints

    def to(self, device: torch.device) -> "Batch":
        """The batch on ``device``; where that is a GPU, copied without waiting, from pinned memory."""

        def move(value: Tensor) -> Tensor:
            value = value.pin_memory() if device.type == "cuda" else value
            return value.to(device, non_blocking=True)

        return replace(
            self,
            features=tuple(map(move, self.features)),
            present=move(self.present),
            position=move(self.position),
            speaker=move(self.speaker),
            label=move(self.label),
        )


def pack(conversations: Conversations, chosen: Sequence[int]) -> Batch:
    """Gather the chosen conversations into one batch."""
    numbers = np.asarray(chosen)
    numbers = numbers[np.argsort(conversations.lengths[numbers], kind="stable")]
    return pack_stretches(conversations, conversations.offset[numbers], conversations.offset[numbers + 1])


def pack_stretches(conversations: Conversations, begin: Ints, end: Ints) -> Batch:
    """Gather stretches of utterances, each from a ``begin`` to an ``end``, sorted by length, as if conversations."""
    lengths = end - begin
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    position = np.arange(lengths.sum()) - np.repeat(starts, lengths)
    rows = np.repeat(begin, lengths) + position
    present = conversations.present[:, rows]
    distinct, first, counts = np.unique(lengths, return_index=True, return_counts=True)
    return Batch(
        modalities=tuple(conversations.features),
        features=tuple(torch.from_numpy(values[rows]) for values in conversations.features.values()),
        present=torch.from_numpy(present),
        position=torch.from_numpy(position),
        speaker=torch.from_numpy(conversations.speaker[rows]),
        label=torch.from_numpy(conversations.label[rows]),
        groups=tuple(map(Group, starts[first].tolist(), counts.tolist(), distinct.tolist())),
        complete=bool(present.all()),
        rows=rows,
    )
