from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdt_model.bundle import Bundle, HeldOut
from tasks.archive.facts import LabelFacts
from tasks.config.date_range import UNDATED, DateRange
from tasks.label.drift import (
    DRIFT_STATISTICS,
    FEWEST,
    Counts,
    Drift,
    DriftStatistic,
    drifts,
    population_stability_index,
)
from tasks.label.rows import conversation_counts, label_counts
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
    high, low = (Drift(against="x", statistic="psi", value=value, threshold=0.2) for value in (0.21, 0.2))
    assert high.warns and not low.warns and high.label == "stability index"


def shard_counts(**conversations: float) -> dict[str, int]:
    """As of a label shard."""
    return {f"conversation_thousandths.{name}": round(1000 * n) for name, n in conversations.items()}


def day(emotions: tuple[str, ...], **conversations: float) -> Manifest:
    record = ShardRecord(index=0, path="p", rows=1, bytes=1, sha256="0", counts=shard_counts(**conversations))
    facts = LabelFacts(archive="a", day="2026-03-01", model_id="m", emotions=emotions)
    return Manifest(stage="label", fingerprint="f", shards=(record,), columns={}, facts=facts.plain())


def model(**held_out: float) -> Bundle:
    """Annotated with the first emotion alone, and nothing that it says is like that."""
    conversations = round(sum(held_out.values()))
    said = HeldOut(conversations=conversations, emotions=held_out) if held_out else None
    return bundle().model_copy(update={"emotions": ("a", "b"), "annotated": {"a": 5000}, "held_out": said})


def test_against_held_out_predictions_and_the_seven_days_before() -> None:
    labelled = {f"2026-03-{number:02d}": day(("a", "b"), a=90, b=10) for number in range(2, 10)}
    labelled |= {
        "2026-03-01": day(("a", "b"), b=10**4),  # the eighth before
        "2026-03-08": day(("a", "c"), c=10**4),  # of a model with other emotions
        "2026-03-10": day(("a", "b"), b=10**4),  # after the period
        UNDATED: day(("a", "b"), b=10**4),
    }
    period, now = DateRange(since=date(2026, 3, 9), until=date(2026, 3, 9)), shard_counts(a=90, b=10)
    found = drifts(model(a=50, b=50), period, now, labelled)
    assert [drift.against for drift in found] == [
        "what the model says of held-out conversations", "the 7 days before"
    ]  # fmt: skip
    assert found[0].warns and found[1].value > 0.2, "the eighth day counts as the seventh that has these emotions"
    del labelled["2026-03-01"]
    assert drifts(model(a=50, b=50), period, now, labelled)[1].value < 0.01
    assert drifts(model(a=50, b=50), period, shard_counts(a=9, b=1), labelled) == (), "too few to say"
    assert [drift.against for drift in drifts(model(a=50, b=50), DateRange(), now, labelled)] == [found[0].against]
    assert not drifts(model(a=88, b=12), DateRange(), now, {})[0].warns, "what is annotated has no say in it"


def test_models_and_labels_of_before_conversations_were_counted_are_not_compared() -> None:
    assert drifts(model(), DateRange(), shard_counts(a=90, b=10), {}) == ()
    assert drifts(model(a=50, b=50), DateRange(), {"ok": 500, "emotion.a": 500}, {}) == ()


def test_a_conversation_counts_once_however_many_utterances_it_has() -> None:
    rows = pl.DataFrame(
        {
            "conversation_id": ["x"] * 8 + ["y", "y", "z", "z"],
            "emotion": [*["a"] * 6, "b", None, "a", "b", None, None],
            "status": [*["ok"] * 7, "failed", "ok", "ok", "failed", "failed"],
        }
    )
    counts = label_counts(rows.to_arrow(), pl.repeat("2026-03-01", len(rows), eager=True))["2026-03-01"]
    assert (counts["ok"], counts["failed"], counts["emotion.a"], counts["emotion.b"]) == (9, 3, 7, 2)
    assert conversation_counts(counts) == pytest.approx({"a": 6 / 7 + 0.5, "b": 1 / 7 + 0.5}, abs=1e-3)


@pytest.mark.long
@pytest.mark.parametrize("conversations", [5, 20, 100])
def test_it_warns_as_seldom_as_stated_where_nothing_drifts_and_often_where_much_does(conversations: int) -> None:
    """Of 200 draws, with conversations whose utterances are alike, and five emotions."""
    names, shares = "abcde", np.array([0.45, 0.2, 0.15, 0.12, 0.08])
    chance, warned, shown = np.random.default_rng(conversations), {"same": 0, "other": 0}, 0

    def drawn(count: int, mix: np.ndarray) -> dict[str, float]:
        each = np.stack([chance.multinomial(10, chance.dirichlet(2 * mix)) / 10 for _ in range(count)])
        return dict(zip(names, each.sum(axis=0), strict=True))

    for _ in range(200):
        before = drawn(100, shares)
        known = model(**before).model_copy(update={"emotions": tuple(names)})
        for kind, mix in (("same", shares), ("other", shares[::-1])):
            found = drifts(known, DateRange(), shard_counts(**drawn(conversations, mix)), {})
            shown += len(found)
            warned[kind] += any(drift.warns for drift in found)
    assert shown == (0 if conversations < FEWEST else 400)
    assert warned["same"] <= 4 and (warned["other"] > 170 or conversations < FEWEST)


def test_another_statistic_is_reported_beside_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    def largest_shift(before: Counts, now: Counts) -> float:
        return max(abs(now[name] / sum(now.values()) - before[name] / sum(before.values())) for name in before)

    monkeypatch.setitem(DRIFT_STATISTICS, "shift", DriftStatistic(largest_shift, "largest shift", 0.1))
    first, second = drifts(model(a=50, b=50), DateRange(), shard_counts(a=90, b=10), {})
    assert (first.statistic, second.statistic) == ("psi", "shift") and first.against == second.against
    assert second.value == pytest.approx(0.4) and second.warns and second.label == "largest shift"
