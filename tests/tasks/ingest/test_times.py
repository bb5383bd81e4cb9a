"""Times as tables write them: every way to write one, beside many moments, is read as that moment or not at all."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from tasks.config.tables import TableSettings
from tasks.ingest.times import iso_moment, moments, seconds

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def read(*texts: str, form: str | None = None) -> list[datetime | None]:
    return moments(pl.Series("occurred_at", texts, dtype=pl.String), form).to_list()


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-01T12:00:00Z", "2026-03-01 12:00:00+00:00", "2026-03-01 12:00:00", "2026-03-01T12:00:00.000",
        "2026-03-01 13:00:00+01:00", "2026-03-01T12:00:00.000000000Z", "20260301T120000Z", "2026-03-01T12Z",
        "2026-03-01 12:00:00+00", "2026-03-01 12:00:00 UTC", "2026-03-01 17:30:00 +0530", "2026-03-01t12:00z",
        "2026-03-01T12:00:00,000", "20260301120000", "20260301120000Z", "202603011200Z", "20260301 120000"[:8] + "T12",
        "20260301130000+0100", "20260301130000 +0100", "2026-W09-7T12:00:00Z", "2026-03-01T1200", "20260301T120000.0Z",
    ],
)  # fmt: skip
def test_times_are_utc(text: str) -> None:
    assert read(text) == [NOON]


@pytest.mark.parametrize("text", ["2026-03-01", "20260301", "2026-W09-7"])
def test_a_day_begins_at_midnight(text: str) -> None:
    assert read(text) == [datetime(2026, 3, 1, tzinfo=UTC)]


@pytest.mark.parametrize(
    "text",
    [
        "yesterday", "1767225600", "1767225600000", "1767225600000000", "1767225600000000000", "1701234567890", "0",
        "2026", "202603", "2026-03", "2026-W09", "20260301 120000", "2026030112", "202603011200", "2026030112000",
        "20261301", "20260230120000", "20260301246000Z", "2026-03-01T25:00Z", "2026-03-01T12:00:60Z",
        "0000-00-00 00:00:00",
        "2026-3-1",
        "2026-03-01T9:00:00Z", "01/03/2026", "01.03.2026 12:00", "2026-03-01Z", "2026-03-01_12:00:00",
        "2026-03-01T12:0000", "2026-03-01T12:00:00+15:00", "2026-03-01T12:00:00+01:60", "2026-03-01T12:00:00.Z",
        "0001-01-01T00:00:00+02:00", "9999-12-31T23:59:59-01:00", "٢٠٢٦-03-01", "2026-03-01T12:00:00ZZ", "18000101",
        "22000101000000", "20260301120000.5", "20260301T", "1.7e12", "-2026-03-01", "+2026-03-01",
    ],
)  # fmt: skip
def test_what_may_be_another_time_or_none_is_not_read(text: str) -> None:
    assert read(text) == [None]


times = st.datetimes(datetime(1900, 1, 1), datetime(2199, 12, 31)).map(lambda moment: moment.replace(tzinfo=UTC))
zones = st.integers(-14 * 60 + 1, 14 * 60 - 1).map(lambda minutes: timezone(timedelta(minutes=minutes)))
WRITTEN: list[Callable[[datetime], str]] = [
    lambda t: t.isoformat(), lambda t: t.isoformat(" "), lambda t: t.isoformat("T", "microseconds"),
    lambda t: t.strftime("%Y%m%dT%H%M%S.%f%z"), lambda t: t.strftime("%Y-%m-%d %H:%M:%S.%f %z"),
    lambda t: t.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    lambda t: t.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f"),
    lambda t: "{}-W{:02d}-{}T".format(*t.astimezone(UTC).isocalendar()) + t.astimezone(UTC).strftime("%H:%M:%S.%fZ"),
]  # fmt: skip
COARSE: list[Callable[[datetime], str]] = [
    lambda t: t.strftime("%Y%m%d%H%M%SZ"), lambda t: t.strftime("%Y%m%d%H%M%S"), lambda t: t.strftime("%Y%m%dT%H%M%S"),
    lambda t: t.strftime("%Y%m%d%H%M%S+0000"), lambda t: t.strftime("%Y-%m-%dT%H:%M:%S+00"),
]  # fmt: skip


@given(st.lists(times, min_size=1, max_size=5), zones, st.sampled_from(WRITTEN))
def test_a_moment_is_read_as_itself_however_it_is_written(
    written: list[datetime], zone: timezone, write: Callable[[datetime], str]
) -> None:
    assert read(*(write(moment.astimezone(zone)) for moment in written)) == written


@given(times, st.sampled_from(COARSE))
def test_digits_alone_are_read_as_themselves(moment: datetime, write: Callable[[datetime], str]) -> None:
    assert read(write(moment)) == [moment.replace(microsecond=0)]


@given(st.text("0123456789TZ:-+ .,W", max_size=24))
@example("20260301120000Z")
def test_the_fast_way_and_the_other_agree(text: str) -> None:
    assert read(text) == [iso_moment(text)]


@given(st.integers(31_536_000, 7_258_118_399), st.integers(0, 999_999_999), st.sampled_from([0, 3, 6, 9]))
def test_epochs_are_read_by_their_declared_unit(whole: int, nanos: int, digits: int) -> None:
    form = {0: "epoch_s", 3: "epoch_ms", 6: "epoch_us", 9: "epoch_ns"}[digits]
    ticks = (whole * 10**9 + nanos) // 10 ** (9 - digits)
    micros = ticks * 10**6 // 10**digits
    assert (
        read(str(ticks), f"{ticks}.0", form=form)
        == [datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)] * 2
    )


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("epoch_s", "1767225600000"), ("epoch_ms", "1767225600"), ("epoch_us", "1767225600000"), ("epoch_ms", "0"),
        ("epoch_ns", "1767225600000"), ("epoch_s", "-5"), ("epoch_s", "1.7e9"), ("epoch_s", "nan"), ("epoch_s", ""),
    ],
)  # fmt: skip
def test_an_epoch_of_another_unit_is_no_time(form: str, text: str) -> None:
    assert read(text, form=form) == [None]


@pytest.mark.parametrize(
    ("form", "text", "expected"),
    [
        ("%d/%m/%Y %H:%M:%S", "01/03/2026 12:00:00", NOON),
        ("%d/%m/%Y %H:%M:%S", "1/3/2026 12:00:00", NOON),
        ("%m/%d/%Y %I:%M %p", "3/1/2026 12:00 pm", NOON),
        ("%Y%m%d%H%M%S", "20260301120000", NOON),
        ("%d %b %Y %H:%M %z", "1 Mar 2026 13:00 +01:00", NOON),
        ("%Y-%j", "2026-060", datetime(2026, 3, 1, tzinfo=UTC)),
        ("%Y%m%d", "2026111", None),  # 1 November or 11 January
        ("%d%m%Y", "1032026", None),
        ("%d/%m/%Y", "2026-03-01", None),
        ("%d/%m/%Y", "31/02/2026", None),
        ("%d/%m/%Y", "3/13/2026", None),
        ("%d/%m/%Y", "01/03/2026 12:00", None),
        ("%Y-%d-%m", "2026-01-03", NOON.replace(hour=0)),
    ],
)
def test_a_declared_format_is_kept_to(form: str, text: str, expected: datetime | None) -> None:
    assert read(text, form=form) == [expected]


@given(times)
def test_a_declared_format_never_reads_another_time(moment: datetime) -> None:
    for form in ("%Y%m%d%H%M%S", "%d.%m.%Y %H:%M:%S", "%y%m%d", "%B %d, %Y", "%Y%j"):
        assert read(moment.strftime(form), form=form) == [
            datetime.strptime(moment.strftime(form), form).replace(tzinfo=UTC)
        ]


@pytest.mark.parametrize(
    "form",
    ["", "epoch", "%H:%M", "%Y-%m", "%d/%m", "%I:%M %d/%m/%Y", "%Y-%m-%d %Z", "%s", "%c", "%Y-%m-%d %", "%Q", "dd/mm"],
)
def test_a_format_that_says_no_day_or_depends_on_the_machine_is_refused(form: str) -> None:
    with pytest.raises(ValidationError, match="time_format"):
        TableSettings(time_format=form)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.25", 0.25), ("12", 12.0), ("1e1", 10.0), ("00:16:16,059", 976.059), ("00:16:16.059", 976.059),
        ("1:02:03", 3723.0), ("100:00:00", 360_000.0), ("16:16.059", 976.059), ("00:00.5", 0.5), ("12:30", None),
        ("00:61:00", None), ("00:00:61", None), ("00:00:10:12", None), ("1,5", None), ("inf", None),
        ("nan", None), ("soon", None), ("1:2:", None), ("-00:01:00", None), ("0x10", None), ("75:10.5", 4510.5),
    ],
)  # fmt: skip
def test_spans_are_seconds_or_on_a_clock(text: str, expected: float | None) -> None:
    assert pl.DataFrame({"start_s": [text]}).select(seconds("start_s"))["start_s"].to_list() == [expected]
