"""Days as a person asks for them."""

from datetime import date

from tasks.config.date_range import UNDATED, Period

FIRST, SECOND = date(2026, 3, 1), date(2026, 3, 2)


def test_both_ends_are_included_and_an_open_end_holds_all_dated_days() -> None:
    assert Period(since=FIRST, until=SECOND).holds("2026-03-02") and Period(since=FIRST).holds("2026-03-01")
    assert not Period(until=FIRST).holds("2026-03-02") and not Period(since=SECOND).holds("2026-03-01")
    assert Period().holds(UNDATED) and not Period(since=FIRST).holds(UNDATED)


def test_periods_overlap_where_they_share_a_day() -> None:
    assert Period(until=FIRST).overlaps(Period(since=FIRST)) and Period().overlaps(Period(since=FIRST, until=FIRST))
    assert not Period(until=FIRST).overlaps(Period(since=SECOND))


def test_in_words() -> None:
    written = [str(Period(since=a, until=b)) for a in (FIRST, None) for b in (SECOND, None)]
    assert written == ["2026-03-01 to 2026-03-02", "days since 2026-03-01", "days until 2026-03-02", "every day"]
    assert str(Period(since=FIRST, until=FIRST)) == "2026-03-01"
