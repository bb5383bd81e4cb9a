"""Times as tables write them: moments in one format or ISO 8601, and spans in seconds or on a clock.

Whatever could be two times is none: a row that lacks its time is counted, one with a wrong time is not seen.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import polars as pl

from tasks.config.tables import EPOCHS, time_pattern

_USUAL = r"^[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-5][0-9](\.[0-9]{1,6})?(Z|\+00:00)?$"
_CLOCK = r"^([0-9]+):([0-5]?[0-9]):([0-5]?[0-9])(?:[.,]([0-9]+))?$"
_SHORT_CLOCK = r"^([0-9]+):([0-5][0-9])[.,]([0-9]+)$"  # without a fraction 12:30 may as well be hours
_EPOCH = re.compile(r"(\d{1,19})(?:\.(\d{1,20}))?", re.ASCII)
_EPOCH_BEGINS = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = (
    (datetime(year, 1, 1, tzinfo=UTC) - _EPOCH_BEGINS) // timedelta(microseconds=1) for year in (1971, 2201)
)
_ZONE = r"(?: ?(?P<zone>Z|UTC|GMT|[+-](?:0\d|1[0-4])(?::?[0-5]\d)?))?"
_TIME = r"(?P<hour>\d\d)(?:(?P<by>:?)(?P<minute>\d\d)(?:(?P=by)(?P<second>\d\d)(?:[.,](?P<fraction>\d{1,12}))?)?)?"
# Years, months and days between dashes may be of any year; digits without them only of one that nobody takes for
# another number: 20260301 seconds after 1970 are in August 1970, and 20260301120000 milliseconds in the year 2612.
_LONG = re.compile(
    rf"(?P<year>\d{{4}})-(?:(?P<month>\d\d)-(?P<day>\d\d)|W(?P<week>\d\d)-(?P<weekday>[1-7]))(?:[T ]{_TIME}{_ZONE})?",
    re.ASCII | re.IGNORECASE,
)
_SHORT = re.compile(
    rf"(?P<year>(?:19|20|21)\d\d)(?P<month>\d\d)(?P<day>\d\d)(?:(?:T{_TIME}|(?P<digits>(?:\d\d){{2,3}})){_ZONE})?",
    re.ASCII | re.IGNORECASE,
)


def moments(values: pl.Series, form: str | None) -> pl.Series:
    """Read texts as moments in UTC, null where they are not of the format; None is ISO 8601, UTC without a zone."""
    if form is not None:
        return _each(values, _reader(form))
    # Those that are written in the most usual way are read all at once.
    text = pl.col("text")
    usual = text.str.contains(_USUAL)
    bare = text.str.replace(" ", "T", literal=True).str.strip_suffix("Z").str.strip_suffix("+00:00")
    read = pl.when(usual).then(bare).str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", time_unit="us", strict=False)
    times = values.to_frame("text").select(
        read=read.dt.replace_time_zone("UTC"), other=pl.when(usual.not_()).then(text)
    )
    return times["read"].fill_null(_each(times["other"], iso_moment))


def _each(values: pl.Series, read: Callable[[str], datetime | None]) -> pl.Series:
    return values.map_elements(read, return_dtype=pl.Datetime("us", "UTC"), skip_nulls=True)


def iso_moment(text: str) -> datetime | None:
    """Read a moment of ISO 8601, or as databases write it, such as 2026-03-01 12:00:00+00; None where it is none."""
    match = _LONG.fullmatch(text) or _SHORT.fullmatch(text)
    if match is None:
        return None
    parts = {"week": None, "weekday": None, "digits": None, **match.groupdict()}
    if parts["digits"]:  # 120000 or 1200, which without a zone may as well be a fraction of another number
        parts |= dict(zip(("hour", "minute", "second"), re.findall("..", parts["digits"]), strict=False))
        if len(parts["digits"]) == 4 and not parts["zone"]:
            return None
    hour, minute, second = (int(parts[name] or 0) for name in ("hour", "minute", "second"))
    fraction = int((parts["fraction"] or "").ljust(6, "0")[:6])
    year, month, week = int(parts["year"] or 0), int(parts["month"] or 0), int(parts["week"] or 0)
    try:
        day = (
            datetime.fromisocalendar(year, week, int(parts["weekday"] or 0))
            if parts["week"]
            else datetime(year, month, int(parts["day"] or 0))
        )
        return day.replace(hour=hour, minute=minute, second=second, microsecond=fraction, tzinfo=UTC) - _offset(
            parts["zone"]
        )
    except (ValueError, OverflowError):  # the latter where the UTC of it is before the year 1, or after 9999
        return None


def _offset(zone: str | None) -> timedelta:
    if zone is None or zone[0] not in "+-":
        return timedelta()
    digits = zone[1:].replace(":", "").ljust(4, "0")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return offset if zone[0] == "+" else -offset


def _reader(form: str) -> Callable[[str], datetime | None]:
    if form in EPOCHS:
        return lambda text: _epoch_moment(text, EPOCHS[form])
    pattern = time_pattern(form)

    def read(text: str) -> datetime | None:
        if not pattern.fullmatch(text):
            return None
        try:
            moment = datetime.strptime(text, form)
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        except (ValueError, OverflowError):
            return None

    return read


def _epoch_moment(text: str, ticks: int) -> datetime | None:
    """Read a number of ticks since 1970, exactly; of a timestamp that Parquet has as such its text."""
    match = _EPOCH.fullmatch(text)
    if match is None:
        return iso_moment(text) if _LONG.fullmatch(text) else None
    whole, fraction = match.groups()
    micros = (int(whole + (fraction or "")) * 10**6) // (ticks * 10 ** len(fraction or ""))
    # Nobody talked in 1970: a number of another unit, or a 0 for no value. Nor after 2200, and a smaller unit.
    return _EPOCH_BEGINS + timedelta(microseconds=micros) if _FIRST <= micros < _LAST else None


def seconds(name: str) -> pl.Expr:
    """Read a column as seconds: numbers, and hh:mm:ss or mm:ss.fff as on a clock; null where it is neither."""
    text = pl.col(name)
    value = text.cast(pl.Float64, strict=False)
    clock, short = text.str.extract_groups(_CLOCK), text.str.extract_groups(_SHORT_CLOCK)
    on_clock = _on_clock(clock.struct["1"], clock.struct["2"], clock.struct["3"], clock.struct["4"])
    on_short = _on_clock(pl.lit("0"), short.struct["1"], short.struct["2"], short.struct["3"])
    return pl.coalesce(pl.when(value.is_finite()).then(value), on_clock, on_short).alias(name)


def _on_clock(hours: pl.Expr, minutes: pl.Expr, seconds: pl.Expr, fraction: pl.Expr) -> pl.Expr:
    """Add up; the fraction is put behind the seconds as text, so that 2.5 is read as any other 2.5 is."""
    whole = hours.cast(pl.Int64, strict=False) * 3600 + minutes.cast(pl.Int64, strict=False) * 60
    whole += seconds.cast(pl.Int64, strict=False)
    return pl.concat_str(whole.cast(pl.String), pl.lit("."), fraction.fill_null("0")).cast(pl.Float64, strict=False)
