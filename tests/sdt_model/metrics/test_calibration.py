import numpy as np
import pytest
import torch

from sdt_model.metrics.calibration import (
    HIGHEST,
    LOWEST,
    calibrate,
    expected_calibration_error,
    fit_temperature,
    tempered,
)


def drawn(rows: int, sharper: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (rows, 4) whose logits are ``sharper`` times too large, and labels from the right ones."""
    chance = np.random.default_rng(seed)
    logits = torch.from_numpy(chance.normal(0, 1.5, (rows, 4)))
    right = logits.softmax(-1).numpy()
    label = (right.cumsum(axis=1) > chance.random((rows, 1))).argmax(axis=1)
    return (sharper * logits).softmax(-1).numpy().astype(np.float32), label


@pytest.mark.parametrize("sharper", [0.5, 1.0, 3.0])
def test_the_temperature_that_spoiled_the_logits_is_found_again(sharper: float) -> None:
    scores, label = drawn(20_000, sharper)
    assert fit_temperature(scores, label) == pytest.approx(sharper, rel=0.06)


def test_it_is_where_the_brier_score_is_least() -> None:
    scores, label = drawn(500, 2.0)
    found = fit_temperature(scores, label)

    def loss(temperature: float) -> float:
        return float(((tempered(scores, temperature) - np.eye(4)[label]) ** 2).sum(axis=1).mean())

    assert loss(found) < min(loss(found * 1.05), loss(found / 1.05), loss(1.0))


def test_a_few_that_are_sure_and_wrong_do_not_make_it_unsure_of_all() -> None:
    scores, label = drawn(400, 0.6)
    scores[:8] = np.eye(4, dtype=np.float32)[(label[:8] + 1) % 4]  # the likelihood of these is as good as 0
    found = calibrate({"dev": (scores, label)})
    assert found.temperature < 0.8
    assert found.errors["dev_ece_after"] < found.errors["dev_ece_before"]


def test_calibration_lowers_the_error_on_labels_it_has_not_seen_and_keeps_every_emotion() -> None:
    dev, test = drawn(3000, 3.0), drawn(3000, 3.0, seed=1)
    found = calibrate({"dev": dev, "test": test})
    assert found.errors["test_ece_before"] > 0.1 and found.errors["test_ece_after"] < 0.03
    assert found.errors["dev_ece_after"] < found.errors["dev_ece_before"]
    assert (tempered(test[0], found.temperature).argmax(1) == test[0].argmax(1)).all()


def test_the_unlabelled_do_not_count() -> None:
    scores, label = drawn(400, 2.0)
    half = np.where(np.arange(400) % 2, label, -1)
    assert calibrate({"dev": (scores, half)}) == calibrate({"dev": (scores[1::2], label[1::2])})


def test_extremes_stay_within_bounds_and_finite() -> None:
    sure = np.eye(3, dtype=np.float32)
    nearly = np.full((3, 3), 0.3, np.float32) + np.float32(0.1) * sure
    assert LOWEST <= fit_temperature(nearly, np.array([0, 1, 2])) < 0.1
    assert fit_temperature(sure, np.array([0, 1, 2])) == 1.0  # they are as sure as can be, and right
    assert fit_temperature(sure, np.array([1, 2, 0])) == pytest.approx(HIGHEST)
    assert fit_temperature(np.full((3, 3), 1 / 3, np.float32), np.array([0, 1, 2])) == 1.0
    assert fit_temperature(np.empty((0, 3), np.float32), np.empty(0, np.int64)) == 1.0
    assert expected_calibration_error(np.empty((0, 3), np.float32), np.empty(0, np.int64)) == 0.0
    assert np.isfinite(tempered(sure, LOWEST)).all()


def test_the_error_is_torchmetrics() -> None:
    from torchmetrics.classification import MulticlassCalibrationError

    scores, label = drawn(1000, 2.0)
    theirs = MulticlassCalibrationError(num_classes=4, n_bins=15, norm="l1")
    expected = float(theirs(torch.from_numpy(scores), torch.from_numpy(label)))
    assert expected_calibration_error(scores, label) == pytest.approx(expected, abs=1e-5)


def test_the_error_of_two_bins_by_hand() -> None:
    scores = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4]], np.float32)
    # Of two that are 0.9 sure one is right; the one that is 0.6 sure is.
    assert expected_calibration_error(scores, np.array([0, 1, 0])) == pytest.approx((2 * 0.4 + 0.4) / 3)
