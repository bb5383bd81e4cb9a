import numpy as np
import pytest
import torch

from sdt_model.metrics.counter import ConfusionCount


def test_scores_are_scikit_learns_over_batches_and_without_the_unlabelled() -> None:
    from sklearn.metrics import accuracy_score, f1_score

    chance = np.random.default_rng(0)
    label, guess = chance.integers(0, 5, 300), chance.integers(0, 5, 300)
    label[::7] = -1
    confusion = ConfusionCount(6, torch.device("cpu"))  # a sixth class that nobody has or guesses
    for part in np.array_split(np.arange(300), 4):
        confusion.update(torch.from_numpy(guess[part]), torch.from_numpy(label[part]))
    valid = label >= 0
    found = confusion.scores("dev")
    assert found["dev_accuracy"] == pytest.approx(accuracy_score(label[valid], guess[valid]))
    for average in ("weighted", "macro"):
        expected = f1_score(label[valid], guess[valid], average=average)
        assert found[f"dev_{average}_f1"] == pytest.approx(expected)
