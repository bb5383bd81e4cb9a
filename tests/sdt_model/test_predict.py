import numpy as np
import pytest

from sdt_model.predict import predict
from tests.sdt_model import made
from tests.sdt_model.test_model import network


@pytest.mark.parametrize("budget", [1, 7, 10_000])
def test_scores_do_not_depend_on_the_batch_budget(budget: int) -> None:
    data = made.conversations([3, 11, 1, 6, 6], present=0.7)
    whole, found = predict(network(), data, 64), predict(network(), data, budget)
    np.testing.assert_allclose(found.probabilities, whole.probabilities, atol=1e-5)
    np.testing.assert_allclose(found.students, whole.students, atol=1e-5)
    np.testing.assert_allclose(found.weights, whole.weights, atol=1e-5)
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1, atol=1e-5)
