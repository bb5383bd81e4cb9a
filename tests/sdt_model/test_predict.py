import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from sdt_model.config import Modality
from sdt_model.conversations import Conversations
from sdt_model.inference import InferenceSDT
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


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("hidden", [16, 128])
def test_on_one_thread_scores_are_the_same_to_the_bit_whatever_they_are_made_with(hidden: int) -> None:
    data = made.conversations([3, 1, 11, 1, 6, 24, 2, 40, 1] * 9, present=0.9)
    model = InferenceSDT(network(hidden=hidden))
    whole = predict(model, data, 1024)
    for first, last in ((0, 1), (1, 2), (2, 9), (9, 40), (40, 81)):
        some = predict(model, stretch(data, *data.offset[first : last + 1]), 64)
        rows = slice(data.offset[first], data.offset[last])
        np.testing.assert_array_equal(some.probabilities, whole.probabilities[rows])
        np.testing.assert_array_equal(some.students, whole.students[:, rows])
        np.testing.assert_array_equal(some.weights, whole.weights[:, rows])


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


def stretch(data: Conversations, *bounds: int) -> Conversations:
    begin, end = bounds[0], bounds[-1]
    return Conversations(
        {name: values[begin:end] for name, values in data.features.items()},
        data.present[:, begin:end], data.speaker[begin:end], data.label[begin:end], np.array(bounds) - begin,
    )  # fmt: skip


HUGE = float(np.finfo(np.float32).max)


@pytest.mark.long
@pytest.mark.parametrize("value", [HUGE, -HUGE, 1e30, 1e6, np.inf, np.nan])
@pytest.mark.parametrize("name", ["text", "audio", "visual"])
@pytest.mark.parametrize("folded", [False, True])
def test_a_vector_that_is_no_use_costs_its_utterance_alone(value: float, name: Modality, folded: bool) -> None:
    """Without clipping nothing holds a value back."""
    data, model = made.conversations([6, 5, 7]), network(clip=None)
    place = list(data.features).index(name)
    data.features[name][8] = value * np.array([1, -1] * 6)[: made.DIMS[name]]
    found = predict(InferenceSDT(model) if folded else model, data, 64)
    assert found.finite().all() and found.labelled.all()
    if not found.present.all():
        assert np.argwhere(~found.present).tolist() == [[place, 8]]
        hidden = data.present.copy()
        hidden[place, 8] = False
        expected = predict(model, replace(data, present=hidden), 64)
        np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-5)
    assert found.present.all() == (value == 1e6), "a large vector of which the model makes numbers counts"


def test_what_stands_where_a_modality_is_absent_is_not_read() -> None:
    data = made.conversations([4, 3], present=0.5)
    expected = predict(network(), data, 64)
    for m, vectors in enumerate(data.features.values()):
        vectors[~data.present[m]] = np.nan
    for model in (network(), InferenceSDT(network())):
        np.testing.assert_allclose(predict(model, data, 64).probabilities, expected.probabilities, atol=1e-5)


def test_a_model_that_makes_no_numbers_labels_nothing() -> None:
    model = network()
    with torch.no_grad():
        model.teacher.bias[0] = torch.nan
    found = predict(model, made.conversations([4, 3]), 64)
    assert not found.labelled.any() and found.finite().all()


def test_one_of_which_everything_is_no_use_is_not_labelled_and_the_others_are() -> None:
    data = made.conversations([20, 3])
    for vectors in data.features.values():
        vectors[7] = np.nan
    found = predict(network(window=8), data, 64)
    assert np.flatnonzero(~found.labelled).tolist() == [7] and found.finite().all()


@pytest.mark.parametrize("order", list(itertools.permutations(made.DIMS)))
def test_the_order_of_a_dictionary_changes_nothing(order: tuple[Modality, ...]) -> None:
    data = made.conversations([4, 6], present=0.7)
    names = list(data.features)
    permuted = Conversations(
        {name: data.features[name] for name in order},
        data.present[[names.index(name) for name in order]], data.speaker, data.label, data.offset,
    )  # fmt: skip
    expected, found = (predict(network(), each, 64) for each in (data, permuted))
    np.testing.assert_array_equal(found.probabilities, expected.probabilities)
    np.testing.assert_array_equal(found.students, expected.students)
    np.testing.assert_array_equal(found.present, expected.present)


def test_other_modalities_than_the_network_s_are_refused() -> None:
    data = made.conversations([4])
    audio = Conversations({"audio": data.features["audio"]}, data.present[:1], data.speaker, data.label, data.offset)
    with pytest.raises(ValueError, match="takes text, audio, visual, and the batch has audio"):
        predict(network(), audio, 64)
    with pytest.raises(ValueError, match="present has 1 rows"):
        Conversations(data.features, data.present[:1], data.speaker, data.label, data.offset)


def test_an_utterance_of_one_modality_has_that_student_s_temperature() -> None:
    data = made.conversations([9, 30], present=0.5)
    plain = predict(network(), data, 64)
    warm = predict(network(), data, 64, temperature=2.0, alone={"text": 4.0, "audio": 1.0})
    lone, text, audio = data.present.sum(axis=0) == 1, data.present[0], data.present[1]
    for rows, temperature in ((lone & text, 4.0), (lone & audio, 1.0), (lone & ~text & ~audio, 2.0), (~lone, 2.0)):
        assert rows.any()
        expected = tempered(plain.probabilities[rows], temperature)
        np.testing.assert_allclose(warm.probabilities[rows], expected, atol=1e-5)
