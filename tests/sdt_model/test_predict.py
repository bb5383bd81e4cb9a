import numpy as np
import pytest

from sdt_model.conversations import Conversations
from sdt_model.metrics.calibration import tempered
from sdt_model.predict import predict
from tests.fixtures import conversations as made
from tests.fixtures.networks import network


@pytest.mark.parametrize("budget", [1, 7, 10_000])
def test_scores_do_not_depend_on_the_batch_budget(budget: int) -> None:
    data = made.conversations([3, 11, 1, 6, 6], present=0.7)
    whole, found = predict(network(), data, 64), predict(network(), data, budget)
    np.testing.assert_allclose(found.probabilities, whole.probabilities, atol=1e-5)
    np.testing.assert_allclose(found.students, whole.students, atol=1e-5)
    np.testing.assert_allclose(found.weights, whole.weights, atol=1e-5)
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1, atol=1e-5)


def test_a_temperature_changes_how_sure_the_teacher_is_and_nothing_else() -> None:
    data = made.conversations([3, 5])
    plain, warm = predict(network(), data, 64), predict(network(), data, 64, temperature=3.0)
    np.testing.assert_allclose(warm.probabilities, tempered(plain.probabilities, 3.0), atol=1e-5)
    assert (warm.probabilities.max(axis=1) < plain.probabilities.max(axis=1)).all()
    np.testing.assert_array_equal(warm.students, plain.students)


def test_a_conversation_longer_than_the_window_is_scored_window_by_window() -> None:
    data, model = made.conversations([50, 9], present=0.8), network(window=16)
    found = predict(model, data, 64)
    scores = [
        predict(network(), stretch(data, begin, begin + 16), 64).probabilities for begin in (0, 8, 16, 24, 32, 34)
    ]
    middles = [0, 12, 20, 28, 36, 41, 50]
    for begin, first, last, expected in zip((0, 8, 16, 24, 32, 34), middles, middles[1:], scores, strict=False):
        np.testing.assert_allclose(found.probabilities[first:last], expected[first - begin : last - begin], atol=1e-5)
    whole = predict(network(window=50), data, 64)
    np.testing.assert_allclose(whole.probabilities, predict(network(window=512), data, 64).probabilities, atol=1e-6)
    np.testing.assert_allclose(found.probabilities[50:], whole.probabilities[50:], atol=1e-5)


@pytest.mark.parametrize("turns", [1, 2, 511, 512, 513])
def test_any_length_gets_finite_scores(turns: int) -> None:
    found = predict(network(), made.conversations([turns]), 64)
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("speakers", [1, 60])
def test_any_number_of_speakers_gets_finite_scores(speakers: int) -> None:
    data = made.conversations([70, 3])
    data.speaker[:] = np.arange(73) % speakers
    found = predict(network(), data, 64)
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1, atol=1e-5)


def stretch(data: Conversations, begin: int, end: int) -> Conversations:
    return Conversations(
        {name: values[begin:end] for name, values in data.features.items()},
        data.present[:, begin:end], data.speaker[begin:end], data.label[begin:end], np.array([0, end - begin]),
    )  # fmt: skip
