"""Stated error rates, over draws of made-up conversations, few and many."""

import numpy as np
import pytest

from sdt_model.conversations import Ints
from sdt_model.metrics.intervals import FEWEST, estimates
from sdt_model.metrics.scores import PRIMARY, SCORES

SHARES = np.array([0.45, 0.2, 0.15, 0.12, 0.08])
DRAWS = 200


def judged(chance: np.random.Generator, conversations: int, rights: list[float], spread: float = 0.15) -> list[Ints]:
    """Confusion matrices (conversations, 5, 5) of models of the same conversations, which are unlike one another."""
    models = np.zeros((len(rights), conversations, 5, 5), np.int64)
    for number in range(conversations):
        label = chance.choice(5, 1 + chance.poisson(9), p=chance.dirichlet(4 * SHARES))
        easy, other, luck = spread * chance.standard_normal(), chance.choice(5, len(label), p=SHARES), np.empty(0)
        for model, right in enumerate(rights):
            # Half of what the model before gets right, this one gets right, too.
            luck = (
                chance.random(len(label))
                if model == 0
                else np.where(chance.random(len(label)) < 0.5, luck, chance.random(len(label)))
            )
            guess = np.where(luck < np.clip(right + easy, 0.02, 0.98), label, other)
            np.add.at(models[model, number], (label, guess), 1)
    return list(models)


def score(counts: Ints) -> float:
    return float(SCORES[PRIMARY].compute(counts.sum(axis=0)))


@pytest.fixture(scope="module")
def population() -> list[Ints]:
    """All conversations that there are, by three models: two alike, and one that is worse."""
    return judged(np.random.default_rng(1), 4000, [0.6, 0.6, 0.48])


@pytest.mark.long
@pytest.mark.parametrize("conversations", [1, 2, 5, 20, 100])
def test_error_rates_are_as_stated(population: list[Ints], conversations: int) -> None:
    """Of the interval, of p where there is no difference, and of the gate for a model that is at the margin."""
    like, other, worse = map(score, population)
    chance = np.random.default_rng(conversations)
    rates = dict.fromkeys(("interval", "interval of the difference", "p", "at the margin", "usual margin"), 0.0)
    for _ in range(DRAWS):
        rows = chance.integers(0, len(population[0]), conversations)
        first, second, third = (counts[rows] for counts in population)
        if conversations < FEWEST:
            assert estimates([first], 100) == estimates([third], 100, against=first) == {}
            continue
        alone, alike, gate = (
            estimates([first], 100)[PRIMARY],
            estimates([first], 100, against=second)[PRIMARY],
            estimates([third], 100, against=first)[PRIMARY],
        )
        rates["interval"] += alone.interval.low <= like <= alone.interval.high
        rates["interval of the difference"] += gate.interval.low <= worse - like <= gate.interval.high
        rates["p"] += alike.p < 0.05
        rates["at the margin"] += gate.bound(0.9) >= worse - like
        rates["usual margin"] += gate.bound(0.9) >= -0.02
    if conversations >= FEWEST:
        shares = {name: count / DRAWS for name, count in rates.items()}
        assert 0.91 <= shares["interval"] <= 0.99 and 0.91 <= shares["interval of the difference"] <= 0.99, shares
        assert shares["p"] <= 0.09 and shares["at the margin"] <= 0.15 and shares["usual margin"] <= 0.03, shares
    assert like == pytest.approx(other, abs=0.01) and worse < like - 0.07


def test_seeds_that_differ_make_it_wider_and_many_make_it_narrower() -> None:
    counts = judged(np.random.default_rng(0), 400, [0.6, 0.45, 0.75])

    def width(models: list[Ints]) -> float:
        interval = estimates(models, 400)[PRIMARY].interval
        return interval.high - interval.low

    assert width(counts) > 3 * width(counts[:1])
    assert width(counts * 6) < 0.5 * width(counts)


def test_one_long_conversation_among_short_ones_counts_as_few() -> None:
    alike = judged(np.random.default_rng(0), 8, [0.6])[0]
    unlike = alike.copy()
    unlike[0] *= 30
    assert estimates([alike], 200)[PRIMARY].freedom > 4 > 2 > estimates([unlike], 200)[PRIMARY].freedom


def test_conversations_that_nothing_is_annotated_of_do_not_count() -> None:
    counts = judged(np.random.default_rng(0), 6, [0.6])[0]
    padded = np.concatenate([counts, np.zeros((50, 5, 5), np.int64)])
    assert estimates([padded], 200) == estimates([counts], 200)
    assert estimates([padded[4:]], 200) == {}


def test_all_right_is_not_certainly_right_and_the_same_twice_is_no_difference() -> None:
    right = np.tile(np.diag([3, 2, 1, 1, 1]), (6, 1, 1))
    interval = estimates([right], 200)[PRIMARY].interval
    assert interval.high == 1.0 and interval.low == pytest.approx(0.025 ** (1 / 6))
    wrong = np.roll(right, 1, axis=2)
    interval = estimates([wrong], 200)[PRIMARY].interval
    assert interval.low == 0.0 and interval.high == pytest.approx(1 - 0.025 ** (1 / 6))
    same = estimates([right], 200, against=right)[PRIMARY]
    assert (same.value, same.interval.low, same.interval.high, same.p) == (0, 0, 0, 1.0)
    opposite = estimates([right], 200, against=wrong)[PRIMARY]
    assert opposite.value == 1.0 and opposite.p == pytest.approx(2 * 0.5**6)


def test_pairing_tells_models_apart_that_lone_intervals_do_not() -> None:
    better, worse = judged(np.random.default_rng(2), 60, [0.66, 0.6])
    a, b = (estimates([counts], 400)[PRIMARY].interval for counts in (better, worse))
    assert a.low < b.high  # alone they overlap
    paired, other = estimates([better], 400, against=worse)[PRIMARY], estimates([worse], 400, against=better)[PRIMARY]
    assert paired.p < 0.05 and paired.interval.low > 0 and other.p == pytest.approx(paired.p)
