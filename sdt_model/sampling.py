"""Which conversations are seen together: the batches of a training epoch, and those that score everything once.

A conversation longer than the model's window is scored in overlapping windows and trained on in pieces, so that memory
does not grow with its length.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice, pairwise
from typing import NamedTuple

import numpy as np

from sdt_model.batch import Batch, pack_stretches
from sdt_model.config import OptimConfig
from sdt_model.conversations import Bools, Conversations, Ints

_BLOCK = 32  # rows
_POOL = 16  # batches' worth of conversations that are sorted by length together


def training_batches(lengths: Ints, optim: OptimConfig, workers: int, epoch: int) -> list[list[int]]:
    """The global batches of one epoch: conversations of similar length together, in random order.

    A batch has the configured number of conversations, or of utterances, and at least one conversation for each worker:
    a short remainder joins the batch before. The same arguments always give the same batches, so every worker computes
    them for itself.

    Args:
        lengths: (conversations,) utterances in each.
        optim: the size of a batch, and the seed.
        workers: how many share each batch.
        epoch: its number, from 0.

    Raises:
        ValueError: fewer conversations than workers.
    """
    if len(lengths) < workers:
        raise ValueError(f"{len(lengths)} conversations cannot be shared among {workers} workers")
    size = optim.batch_conversations
    if optim.batch_utterances is not None:
        size = max(1, round(optim.batch_utterances / lengths.mean()))
    chance = np.random.default_rng([optim.seed, epoch])
    shuffled = chance.permutation(len(lengths))
    # Sorted by length inside of a pool, so that neighbours are alike and the draw stays random.
    pools = [shuffled[i : i + _POOL * size] for i in range(0, len(shuffled), _POOL * size)]
    order = np.concatenate([part[np.argsort(lengths[part], kind="stable")] for part in pools]).tolist()
    if optim.batch_utterances is None:
        batches = [order[i : i + size] for i in range(0, len(order), size)]
    else:
        batches = list(_filled(order, lengths, optim.batch_utterances, workers))
    if len(batches) > 1 and len(batches[-1]) < workers:
        rest = batches.pop()
        batches[-1] += rest
    return [batches[i] for i in chance.permutation(len(batches))]


def budget_batches(lengths: Ints, utterances: int) -> Iterator[list[int]]:
    """Every conversation once, longest first, at most ``utterances`` a batch; a longer conversation goes alone."""
    yield from _filled(np.argsort(-lengths, kind="stable").tolist(), lengths, utterances, fewest=1)


def _filled(order: list[int], lengths: Ints, utterances: int, fewest: int) -> Iterator[list[int]]:
    """Batches in the order given, of at most ``utterances``, unless ``fewest`` conversations take more."""
    batch: list[int] = []
    filled = 0
    for i in order:
        if len(batch) >= fewest and filled + int(lengths[i]) > utterances:
            yield batch
            batch, filled = [], 0
        batch.append(i)
        filled += int(lengths[i])
    if batch:
        yield batch


class Stretches(NamedTuple):
    """Stretches of utterances that fit the model, and which part of each is kept.

    Attributes:
        begin, end: (W,) the stretches, as rows of the `Conversations`.
        kept_from, kept_to: (W,) their kept parts, which hold every utterance once.
    """

    begin: Ints
    end: Ints
    kept_from: Ints
    kept_to: Ints


def window_stretches(offset: Ints, size: int) -> Stretches:
    """Whole conversations where they fit, else overlapping windows, each kept up to the middle of the overlap.

    Neighbours overlap by half a window or more, so that every kept utterance has a quarter of a window on either side,
    but at the ends of its conversation.
    """
    begins, firsts = [], []
    for begin, end in zip(offset[:-1].tolist(), offset[1:].tolist(), strict=True):
        starts = [*range(begin, max(begin + 1, end - size), max(1, size // 2))]
        if end - size > starts[-1]:
            starts.append(end - size)
        begins.append(starts)
        firsts.append([begin, *((left + size + right) // 2 for left, right in pairwise(starts)), end])
    begin = np.array([start for starts in begins for start in starts], np.int64)
    return Stretches(
        begin=begin,
        end=np.minimum(begin + size, np.repeat(offset[1:], [len(starts) for starts in begins])),
        kept_from=np.array([first for of in firsts for first in of[:-1]], np.int64),
        kept_to=np.array([first for of in firsts for first in of[1:]], np.int64),
    )


def scoring_batches(
    conversations: Conversations, size: int, utterances: int, rank: int = 0, workers: int = 1
) -> Iterator[tuple[Batch, Bools]]:
    """Batches of windows that score every utterance once, or a worker's share of them.

    Args:
        conversations: what is scored.
        size: most utterances of a window.
        utterances: most utterances of a batch, but for what fills its last block; a longer window goes alone.
        rank: this worker's number, from 0.
        workers: how many share the batches.

    Yields:
        A batch, and (N,) which of its utterances are kept: those of overlaps are kept in one window alone, and those
        that fill its last block not at all.
    """
    stretches = window_stretches(conversations.offset, size)
    for chosen in islice(budget_batches(stretches.end - stretches.begin, utterances), rank, None, workers):
        shortest_first = chosen[::-1]
        some = Stretches(*(part[shortest_first] for part in stretches))
        begin, end, kept_from, kept_to = _in_whole_blocks(some)
        batch = pack_stretches(conversations, begin, end)
        inside = (batch.rows >= np.repeat(kept_from, end - begin)) & (batch.rows < np.repeat(kept_to, end - begin))
        yield batch, inside


def _in_whole_blocks(stretches: Stretches) -> Stretches:
    """The stretches with single utterances in front, none of them kept, that make whole blocks of `_BLOCK` rows.

    Libraries multiply a lone row by other code, which rounds otherwise. In whole blocks, and on one thread, an
    utterance has the same scores, to the bit, whatever it is scored with.
    """
    begin = np.repeat(stretches.begin[:1], -int((stretches.end - stretches.begin).sum()) % _BLOCK)
    front = Stretches(begin, begin + 1, begin, begin)
    return Stretches(*(np.concatenate(parts) for parts in zip(front, stretches, strict=True)))


def cut(conversations: Conversations, size: int) -> Conversations:
    """Cut conversations of more than ``size`` utterances into pieces of similar length, for training."""
    pieces = [
        np.linspace(begin, end, -(-(end - begin) // size) + 1).astype(np.int64)[:-1]
        for begin, end in pairwise(conversations.offset.tolist())
    ]
    return replace(conversations, offset=np.concatenate([*pieces, conversations.offset[-1:]]))
