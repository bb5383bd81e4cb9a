"""Days as a person asks for them."""

from datetime import date

from tasks.config.date_range import UNDATED, DateRange

FIRST, SECOND = date(2026, 3, 1), date(2026, 3, 2)


def test_both_ends_are_included_and_an_open_end_holds_all_dated_days() -> None:
    assert DateRange(since=FIRST, until=SECOND).contains("2026-03-02") and DateRange(since=FIRST).contains("2026-03-01")
    assert not DateRange(until=FIRST).contains("2026-03-02") and not DateRange(since=SECOND).contains("2026-03-01")
    assert DateRange().contains(UNDATED) and not DateRange(since=FIRST).contains(UNDATED)


def test_periods_overlap_where_they_share_a_day() -> None:
    assert DateRange(until=FIRST).overlaps(DateRange(since=FIRST)) and DateRange().overlaps(
        DateRange(since=FIRST, until=FIRST)
    )
    assert not DateRange(until=FIRST).overlaps(DateRange(since=SECOND))


def test_in_words() -> None:
    written = [str(DateRange(since=a, until=b)) for a in (FIRST, None) for b in (SECOND, None)]
    assert written == ["2026-03-01 to 2026-03-02", "days since 2026-03-01", "days until 2026-03-02", "every day"]
    assert str(DateRange(since=FIRST, until=FIRST)) == "2026-03-01"
