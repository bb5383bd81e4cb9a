"""Conversations packed without padding: a batch is its valid utterances one after another.

Attention needs to know which utterances belong together. A `Batch` says so with index tensors made here, on the
host: each group holds conversations of one length, which attend together as one dense (G, L) block.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sdt_model.config import Modality

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Conversations:
    """Conversations laid end to end; the arrays may be memory-mapped.

    Attributes:
        features: for each modality (N, C), zeros where absent.
        present: (M, N), in the order of ``features``.
        speaker: (N,) order of appearance in the conversation; -1 where unknown.
        label: (N,) class, -1 where not annotated.
        offset: (conversations + 1,) where each begins; the last is N.
    """

    features: dict[Modality, Floats]
    present: Bools
    speaker: Ints
    label: Ints
    offset: Ints

    @property
    def lengths(self) -> Ints:
        """Utterances in each conversation."""
        return np.diff(self.offset)

    def rows(self, chosen: Sequence[int]) -> Ints:
        """The utterances of the chosen conversations, in their order."""
        return np.concatenate([np.arange(self.offset[i], self.offset[i + 1]) for i in chosen])


@dataclass(frozen=True)
class Batch:
    """N utterances of whole conversations.

    Attributes:
        features: for each of M modalities (N, C), zeros where absent.
        present: (M, N) bool.
        position: (N,) place in the conversation, from 0.
        speaker: (N,) order of appearance, -1 where unknown.
        label: (N,) class, -1 where not annotated.
        groups: each (G, L): G conversations of length L, as rows of the batch.
        restore: (N,) where each row went when the groups are laid end to end.
        complete: whether every modality is present everywhere, so that no mask is needed.
    """

    features: tuple[Tensor, ...]
    present: Tensor
    position: Tensor
    speaker: Tensor
    label: Tensor
    groups: tuple[Tensor, ...]
    restore: Tensor
    complete: bool

    def to(self, device: torch.device) -> "Batch":
        """The batch on ``device``, copied without waiting where memory is pinned."""

        def move(value: object) -> object:
            if isinstance(value, Tensor):
                return value.to(device, non_blocking=True)
            return tuple(map(move, value)) if isinstance(value, tuple) else value

        return Batch(**{field.name: move(getattr(self, field.name)) for field in fields(self)})  # type: ignore[arg-type]


def pack(conversations: Conversations, chosen: Sequence[int]) -> Batch:
    """Gather the chosen conversations into one batch."""
    rows = conversations.rows(chosen)
    lengths = conversations.lengths[list(chosen)]
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    groups = [starts[lengths == n][:, None] + np.arange(n)[None] for n in np.unique(lengths)]
    restore = np.empty(len(rows), np.int64)
    restore[np.concatenate([group.ravel() for group in groups])] = np.arange(len(rows))
    present = conversations.present[:, rows]
    return Batch(
        features=tuple(torch.from_numpy(values[rows]) for values in conversations.features.values()),
        present=torch.from_numpy(present),
        position=torch.from_numpy(np.arange(len(rows)) - np.repeat(starts, lengths)),
        speaker=torch.from_numpy(conversations.speaker[rows]),
        label=torch.from_numpy(conversations.label[rows]),
        groups=tuple(torch.from_numpy(group) for group in groups),
        restore=torch.from_numpy(restore),
        complete=bool(present.all()),
    )


def training_batches(lengths: Ints, size: int, workers: int, seed: int, epoch: int) -> list[list[int]]:
    """The global batches of one epoch: conversations of like length together, in random order.

    Every batch has ``size`` conversations except that a short rest joins the one before where it could not give each
    worker one. The same arguments always give the same batches, so every worker makes them for itself.

    Raises:
        ValueError: fewer conversations than workers.
    """
    if len(lengths) < workers:
        raise ValueError(f"{len(lengths)} conversations cannot be shared among {workers} workers")
    order = np.random.default_rng([seed, epoch])
    shuffled = order.permutation(len(lengths))
    pool = 16 * size  # sorted by length inside, so that neighbours are alike and the draw stays random
    pools = [shuffled[i : i + pool] for i in range(0, len(shuffled), pool)]
    sorted_pools = np.concatenate([part[np.argsort(lengths[part], kind="stable")] for part in pools])
    batches = [sorted_pools[i : i + size].tolist() for i in range(0, len(sorted_pools), size)]
    if len(batches) > 1 and len(batches[-1]) < workers:
        rest = batches.pop()
        batches[-1] += rest
    return [batches[i] for i in order.permutation(len(batches))]


def budget_batches(lengths: Ints, utterances: int) -> Iterator[list[int]]:
    """Every conversation once, longest first, at most ``utterances`` a batch; a longer conversation goes alone."""
    batch: list[int] = []
    filled = 0
    for i in np.argsort(-lengths, kind="stable").tolist():
        if batch and filled + int(lengths[i]) > utterances:
            yield batch
            batch, filled = [], 0
        batch.append(i)
        filled += int(lengths[i])
    if batch:
        yield batch
