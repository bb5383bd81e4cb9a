from itertools import pairwise

import numpy as np
import pytest

from sdt_model.metrics.scores import (
    SCORES,
    bootstrap,
    conversation_confusions,
    f1_scores,
)

OFFSET = np.concatenate([[0], np.cumsum(np.random.default_rng(1).integers(1, 9, 60))])


def guesses(right: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels and guesses among five emotions, of which nobody has or says the last."""
    chance = np.random.default_rng(seed)
    label, other = chance.integers(0, 4, (2, OFFSET[-1]))
    return label, np.where(chance.random(OFFSET[-1]) < right, label, other)


def test_scores_are_scikit_learns_and_the_unlabelled_do_not_count() -> None:
    from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

    label, guess = guesses(0.4)
    label[::7] = -1
    valid = label >= 0
    found = conversation_confusions(label, guess, OFFSET, 5)
    assert (found.sum(axis=0) == confusion_matrix(label[valid], guess[valid], labels=range(5))).all()
    assert (found.sum(axis=(1, 2)) == [valid[a:b].sum() for a, b in pairwise(OFFSET)]).all()
    together = found.sum(axis=0)
    assert SCORES["accuracy"].compute(together) == pytest.approx(accuracy_score(label[valid], guess[valid]))
    for average in ("weighted", "macro"):
        expected = f1_score(label[valid], guess[valid], average=average)
        assert SCORES[f"{average}_f1"].compute(together) == pytest.approx(expected)
    expected = f1_score(label[valid], guess[valid], average=None, labels=range(5), zero_division=0)
    np.testing.assert_allclose(f1_scores(together), expected)


def test_a_draw_is_the_score_of_the_conversations_drawn() -> None:
    models = np.stack([conversation_confusions(*guesses(0.5, seed), OFFSET, 5) for seed in (0, 1)])
    found = bootstrap(models, 70, seed=5)["weighted_f1"]
    chance = np.random.default_rng(5)
    weight = np.concatenate([chance.multinomial(60, np.full(60, 1 / 60), size) for size in (64, 6)])[69]
    drawn = np.repeat(models, weight, axis=1).sum(axis=1)
    assert found.shape == (70,) and found[69] == pytest.approx(SCORES["weighted_f1"].compute(drawn).mean())
