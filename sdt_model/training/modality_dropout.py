"""Modality dropout: training sees every subset of the modalities, so that the network can be used with any."""

from itertools import product

import numpy as np

from sdt_model.conversations import Bools


def drop_modalities(there: Bools, probability: float, chance: np.random.Generator) -> Bools:
    """What a conversation is left with, (M, N), of the modalities that its utterances have, ``there``, (M, N).

    With this probability the conversation is cut down to one of the smaller subsets, all of which are as likely, and
    so is each utterance by itself. An utterance that has something keeps something.

    To drop each of three modalities with a probability of 0.1 would leave a single one in a hundredth of the
    conversations, too few to learn from.
    """
    subsets = np.array(list(product((False, True), repeat=len(there))))[1:]  # the last one is whole

    def drawn(count: int) -> Bools:
        smaller = chance.integers(max(1, len(subsets) - 1), size=count)
        return subsets[np.where(chance.random(count) < probability, smaller, len(subsets) - 1)].T

    one = np.where(there, chance.random(there.shape), -1.0)
    kept = _unless_nothing(there & drawn(1), there & (one == one.max(axis=0)))
    return _unless_nothing(kept & drawn(there.shape[1]), kept)


def _unless_nothing(left: Bools, otherwise: Bools) -> Bools:
    """Each utterance's modalities (M, N), or where it would have none the others."""
    found: Bools = np.where(left.any(axis=0), left, otherwise)
    return found
