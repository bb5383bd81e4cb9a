from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.archive.facts import LabelFacts
from tasks.config.date_range import UNDATED, DateRange
from tasks.label.drift import DRIFT_STATISTICS, Counts, Drift, DriftStatistic, drifts, population_stability_index
from tasks.storage.manifest import Manifest, ShardRecord
from tests.fixtures.models import bundle

COUNTS = st.dictionaries(st.sampled_from("abcde"), st.integers(0, 10**6), min_size=1)


@given(COUNTS, COUNTS)
def test_it_is_never_negative_symmetric_and_nothing_between_equals(one: dict[str, int], other: dict[str, int]) -> None:
    assert population_stability_index(one, other) >= 0
    assert population_stability_index(one, other) == pytest.approx(population_stability_index(other, one))
    assert population_stability_index(one, one) == 0


def test_a_known_shift() -> None:
    # (0.6 - 0.5) ln(0.6 / 0.5) + (0.4 - 0.5) ln(0.4 / 0.5)
    assert population_stability_index({"a": 50_000, "b": 50_000}, {"a": 60_000, "b": 40_000}) == pytest.approx(
        0.0405, abs=1e-4
    )
    high, low = (Drift(against="x", statistic="psi", value=value) for value in (0.21, 0.2))
    assert high.warns and not low.warns and high.label == "stability index"


def day(emotions: tuple[str, ...], **counts: int) -> Manifest:
    record = ShardRecord(
        index=0, path="p", rows=1, bytes=1, sha256="0", counts={f"emotion.{name}": n for name, n in counts.items()}
    )
    facts = LabelFacts(archive="a", day="2026-03-01", model_id="m", emotions=emotions)
    return Manifest(stage="label", fingerprint="f", shards=(record,), columns={}, facts=facts.plain())


def test_against_training_and_the_seven_days_before() -> None:
    model = bundle().model_copy(update={"emotions": ("a", "b"), "annotated": {"a": 500, "b": 500}})
    labelled = {f"2026-03-{number:02d}": day(("a", "b"), a=90, b=10) for number in range(2, 10)}
    labelled |= {
        "2026-03-01": day(("a", "b"), b=10**6),  # the eighth before
        "2026-03-08": day(("a", "c"), c=10**6),  # of a model with other emotions
        "2026-03-10": day(("a", "b"), b=10**6),  # after the period
        UNDATED: day(("a", "b"), b=10**6),
    }
    period = DateRange(since=date(2026, 3, 9), until=date(2026, 3, 9))
    found = drifts(model, period, {"a": 90, "b": 10}, labelled)
    assert [drift.against for drift in found] == ["what the model was trained on", "the 7 days before"]
    assert found[0].warns and found[1].value > 0.2, "the eighth day counts as the seventh that has these emotions"
    del labelled["2026-03-01"]
    assert drifts(model, period, {"a": 90, "b": 10}, labelled)[1].value < 0.01
    assert drifts(model, period, {"a": 9, "b": 1}, labelled) == (), "too few to say"
    assert [drift.against for drift in drifts(model, DateRange(), {"a": 90, "b": 10}, labelled)] == [found[0].against]


def test_another_statistic_is_reported_beside_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    def largest_shift(before: Counts, now: Counts) -> float:
        return max(abs(now[name] / sum(now.values()) - before[name] / sum(before.values())) for name in before)

    monkeypatch.setitem(DRIFT_STATISTICS, "shift", DriftStatistic(largest_shift, "largest shift", 0.1))
    model = bundle().model_copy(update={"emotions": ("a", "b"), "annotated": {"a": 500, "b": 500}})
    first, second = drifts(model, DateRange(), {"a": 90, "b": 10}, {})
    assert (first.statistic, second.statistic) == ("psi", "shift") and first.against == second.against
    assert second.value == pytest.approx(0.4) and second.warns and second.label == "largest shift"
