import numpy as np
import pytest
import torch

from sdt_model.metrics.calibration import (
    HIGHEST,
    LOWEST,
    Labelled,
    calibrate,
    expected_calibration_error,
    fit_temperature,
    tempered,
)


def drawn(rows: int, sharper: float, seed: int = 0, turns: int = 1) -> Labelled:
    """Probabilities (rows, 4) whose logits are ``sharper`` times too large, and labels from the right ones.

    ``turns``: of a conversation.
    """
    chance = np.random.default_rng(seed)
    logits = torch.from_numpy(chance.normal(0, 1.5, (rows, 4)))
    right = logits.softmax(-1).numpy()
    label = (right.cumsum(axis=1) > chance.random((rows, 1))).argmax(axis=1)
    return Labelled((sharper * logits).softmax(-1).numpy().astype(np.float32), label, np.arange(rows) // turns)


@pytest.mark.long
@pytest.mark.parametrize("sharper", [0.5, 1.0, 3.0])
def test_the_temperature_that_spoiled_the_logits_is_found_again(sharper: float) -> None:
    assert fit_temperature(*drawn(20_000, sharper)) == pytest.approx(sharper, rel=0.06)


def test_it_is_where_the_brier_score_is_least() -> None:
    scores, label, conversation = drawn(500, 2.0)
    found = fit_temperature(scores, label, conversation)

    def loss(temperature: float) -> float:
        return float(((tempered(scores, temperature) - np.eye(4)[label]) ** 2).sum(axis=1).mean())

    assert loss(found) < min(loss(found * 1.05), loss(found / 1.05), loss(1.0))


def test_a_few_that_are_sure_and_wrong_do_not_make_it_unsure_of_all() -> None:
    scores, label, conversation = drawn(400, 0.6)
    scores[:8] = np.eye(4, dtype=np.float32)[(label[:8] + 1) % 4]  # the likelihood of these is as good as 0
    found = calibrate({"dev": Labelled(scores, label, conversation)})
    assert found.temperature < 0.8
    assert found.errors["dev_ece_after"] < found.errors["dev_ece_before"]


def test_calibration_lowers_the_error_on_labels_it_has_not_seen_and_keeps_every_emotion() -> None:
    dev, test = drawn(3000, 3.0), drawn(3000, 3.0, seed=1)
    found = calibrate({"dev": dev, "test": test})
    assert found.errors["test_ece_before"] > 0.1 and found.errors["test_ece_after"] < 0.03
    assert found.errors["dev_ece_after"] < found.errors["dev_ece_before"]
    assert (tempered(test.probabilities, found.temperature).argmax(1) == test.probabilities.argmax(1)).all()


def test_the_unlabelled_do_not_count() -> None:
    scores, label, conversation = drawn(400, 2.0)
    half = Labelled(scores, np.where(np.arange(400) % 2, label, -1), conversation)
    assert calibrate({"dev": half}) == calibrate({"dev": Labelled(scores[1::2], label[1::2], conversation[1::2])})


def test_extremes_stay_within_bounds_and_finite() -> None:
    truth, conversations = np.arange(3000) % 3, np.arange(3000)
    sure = np.eye(3, dtype=np.float32)[truth]
    nearly = np.float32(0.3) + np.float32(0.1) * sure
    assert LOWEST <= fit_temperature(nearly, truth, conversations) < 0.1
    assert fit_temperature(sure, truth, conversations) == 1.0  # they are as sure as can be, and right
    assert fit_temperature(sure, (truth + 1) % 3, conversations) > 0.9 * HIGHEST
    assert fit_temperature(np.full((3000, 3), 1 / 3, np.float32), truth, conversations) == 1.0
    assert fit_temperature(np.empty((0, 3), np.float32), np.empty(0, np.int64), np.empty(0, np.int64)) == 1.0
    assert expected_calibration_error(np.empty((0, 3), np.float32), np.empty(0, np.int64)) == 0.0
    assert np.isfinite(tempered(sure, LOWEST)).all()


@pytest.mark.parametrize(("utterances", "turns"), [(1, 1), (4, 1), (16, 1), (16, 4), (29, 1), (400, 100)])
def test_a_few_that_all_are_right_make_it_no_surer(utterances: int, turns: int) -> None:
    """Which is how 0.40 became 0.997."""
    truth = np.arange(utterances) % 3
    scores = np.float32(0.3) + np.float32(0.1) * np.eye(3, dtype=np.float32)[truth]
    assert fit_temperature(scores, truth, np.arange(utterances) // turns) == 1.0


@pytest.mark.long
@pytest.mark.parametrize(
    ("conversations", "sharper", "draws"), [(1, 0.5, 20), (2, 3.0, 20), (5, 1.0, 200), (20, 3.0, 50), (100, 0.5, 20)]
)
def test_it_is_hardly_ever_worse_than_none_and_better_where_there_is_something_to_learn(
    conversations: int, sharper: float, draws: int
) -> None:
    """The Brier score, on others, of what is fitted minus that of what is not."""
    others = drawn(2000, sharper, seed=10**6)

    def brier(temperature: float) -> float:
        scores = tempered(others.probabilities, temperature)
        return float(((scores - np.eye(4)[others.label]) ** 2).sum(axis=1).mean())

    before = brier(1.0)
    fitted = [fit_temperature(*drawn(10 * conversations, sharper, seed, turns=10)) for seed in range(draws)]
    gains = np.array([before - brier(temperature) for temperature in fitted])
    assert gains.mean() >= -0.004 and np.quantile(gains, 0.05) >= -0.02
    if sharper != 1.0 and conversations >= 20:
        assert gains.mean() > 0.02
    if conversations < 5:
        assert (gains == 0).all()


def test_what_one_modality_says_alone_has_a_temperature_of_its_own() -> None:
    fused = {"dev": drawn(3000, 1.0), "test": drawn(3000, 1.0, seed=1)}
    text = {"dev": drawn(3000, 3.0, seed=2), "test": drawn(3000, 3.0, seed=3)}
    found = calibrate(fused, {"text": text})
    assert found.temperature == pytest.approx(1.0, rel=0.1) and found.alone["text"] == pytest.approx(3.0, rel=0.15)
    assert found.errors["test_ece_text_after"] < 0.04 < 0.1 < found.errors["test_ece_text_before"]


@pytest.mark.long
def test_the_error_is_torchmetrics() -> None:
    from torchmetrics.classification import MulticlassCalibrationError

    scores, label, _ = drawn(1000, 2.0)
    theirs = MulticlassCalibrationError(num_classes=4, n_bins=15, norm="l1")
    expected = float(theirs(torch.from_numpy(scores), torch.from_numpy(label)))
    assert expected_calibration_error(scores, label) == pytest.approx(expected, abs=1e-5)


def test_the_error_of_two_bins_by_hand() -> None:
    scores = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4]], np.float32)
    # Of two that are 0.9 sure one is right; the one that is 0.6 sure is.
    assert expected_calibration_error(scores, np.array([0, 1, 0])) == pytest.approx((2 * 0.4 + 0.4) / 3)
