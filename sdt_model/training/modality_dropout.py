"""Modality dropout: training sees every subset of the modalities, so that the network can be used with any."""

from itertools import product

import numpy as np

from sdt_model.conversations import Bools


def drop_modalities(present: Bools, probability: float, chance: np.random.Generator) -> Bools:
    """Hide some of the modalities of a conversation's utterances from training.

    To drop each of three modalities with a probability of 0.1 would leave a single one in a hundredth of the
    conversations, too few to learn from. So the conversation is cut down to one of the smaller subsets, and each
    utterance by itself; all subsets are equally likely.

    Args:
        present: (M, N) which modalities the utterances have.
        probability: of either cut.
        chance: where the draws come from.

    Returns:
        (M, N) which modalities are left; an utterance that has something keeps something.
    """
    subsets = np.array(list(product((False, True), repeat=len(present))))[1:]  # the last one is whole

    def drawn(count: int) -> Bools:
        smaller = chance.integers(max(1, len(subsets) - 1), size=count)
        return subsets[np.where(chance.random(count) < probability, smaller, len(subsets) - 1)].T

    one = np.where(present, chance.random(present.shape), -1.0)
    left = _unless_nothing(present & drawn(1), present & (one == one.max(axis=0)))
    return _unless_nothing(left & drawn(present.shape[1]), left)


def _unless_nothing(chosen: Bools, otherwise: Bools) -> Bools:
    """Each utterance's modalities (M, N), or where it would have none the others."""
    merged: Bools = np.where(chosen.any(axis=0), chosen, otherwise)
    return merged
