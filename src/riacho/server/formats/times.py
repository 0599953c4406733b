"""Spark's reading of dates and timestamps from free text, exactly.

Without a pattern Spark parses by hand, leniently: `2024`, `2024-1-2`, `2024-01-02T3:4`, fractions cut at
microseconds, zones by offset, region or old short name. Source: `SparkDateTimeUtils.stringToDate`,
`parseTimestampString`, `stringToTimestamp`, `getZoneId`. All results are integers as Spark and Arrow keep them: days or
microseconds since the epoch in the proleptic Gregorian calendar; None where Spark gives NULL.

Python's own `date` ends in the years 1 and 9999, Spark's do not, so days are counted here.
"""

from __future__ import annotations

import re
from typing import Final

from riacho.zones import DAY_US, zone_offset_us

_LONG: Final = 1 << 63
_TRIM: Final = "".join(chr(c) for c in (*range(0x21), *range(0x7F, 0xA0)))
"""White space and ISO control characters, which Spark strips from both ends."""

_DATE: Final = re.compile(r"([+-]?)(\d{4,7})(?:-(\d{1,2})(?:-(\d{1,2})(?:[ T].*)?)?)?", re.ASCII | re.DOTALL)
_TIME: Final = r"(\d{1,2})(?::(\d{1,2})(?::(\d{1,2})(?:\.(\d*))?(?P<zone>[^\d.].*)?)?)?"
_TIMESTAMP: Final = re.compile(
    rf"([+-]?)(\d{{4,6}})(?:-(\d{{1,2}})(?:-(\d{{1,2}})(?:[ T]{_TIME})?)?)?", re.ASCII | re.DOTALL
)
_TIME_ONLY: Final = re.compile(
    r"T?(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.(\d*))?(?P<zone>[^\d.].*)?)?", re.ASCII | re.DOTALL
)


def days_from_civil(year: int, month: int, day: int) -> int | None:
    """Days since 1970-01-01 of a proleptic Gregorian date of any year; None if there is no such day."""
    if not 1 <= month <= 12 or not 1 <= day <= _days_in_month(year, month):
        return None
    # Years start in March, so that the leap day is the last one; 400-year eras have 146,097 days.
    shifted = year - (month <= 2)
    era, of_era = divmod(shifted, 400)
    of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468


def _days_in_month(year: int, month: int) -> int:
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month in {4, 6, 9, 11} else 31


def to_days(text: str) -> int | None:
    """A DATE from text in any of the forms that Spark's cast takes, or None."""
    match = _DATE.fullmatch(text.strip(_TRIM))
    if match is None:
        return None
    sign, year, month, day = match.groups()
    return days_from_civil(int(sign + year), int(month or 1), int(day or 1))


def to_micros(text: str, zone: str, today: int) -> int | None:
    """A TIMESTAMP from text in any of the forms that Spark's cast takes, or None.

    `zone` is the session's, for text that names none; `today` (days) is for text that is only a time of day.
    """
    fields = _fields(text)
    if fields is None:
        return None
    day, micros, named = fields
    offset = zone_offset_us(named or zone, (today if day is None else day) * DAY_US + micros)
    if offset is None:
        return None
    total = (today if day is None else day) * DAY_US + micros - offset
    return total if -_LONG <= total < _LONG else None


def to_local_micros(text: str) -> int | None:
    """A TIMESTAMP_NTZ from text: None also if a zone is named or the date is missing."""
    fields = _fields(text)
    if fields is None or fields[0] is None or fields[2] is not None:
        return None
    total = fields[0] * DAY_US + fields[1]
    return total if -_LONG <= total < _LONG else None


def _fields(text: str) -> tuple[int | None, int, str | None] | None:
    """(day or None for a bare time, microseconds of the day, zone name or None), or None if it is no timestamp."""
    trimmed = text.strip(_TRIM)
    match = _TIMESTAMP.fullmatch(trimmed)
    if match is not None:
        sign, year, month, day, hour, minute, second, fraction, zone = match.groups()
        days = days_from_civil(int(sign + year), int(month or 1), int(day or 1))
        if days is None:
            return None
    else:
        match = _TIME_ONLY.fullmatch(trimmed)
        if match is None:
            return None
        days = None
        hour, minute, second, fraction, zone = match.groups()
    h, m, s = int(hour or 0), int(minute or 0), int(second or 0)
    if h > 23 or m > 59 or s > 59:
        return None
    micros = int((fraction or "")[:6].ljust(6, "0"))
    return days, ((h * 60 + m) * 60 + s) * 1_000_000 + micros, None if zone is None else zone.strip()


def days_from_legacy_number(text: str) -> int | None:
    """A DATE from a day number in text (`"19724"`), the last thing Spark's JSON reader tries.

    The number counts days of the hybrid Julian and Gregorian calendar. Source: `RebaseDateTime`.
    """
    if not re.fullmatch(r"[+-]?\d+", text, re.ASCII) or not -(1 << 31) <= int(text) < 1 << 31:
        return None
    days = int(text)
    return days if days >= _GREGORIAN_START else _julian_to_gregorian(days)


_GREGORIAN_START: Final = -141_427
"""1582-10-15, the first day of the Gregorian calendar."""


def _julian_to_gregorian(days: int) -> int | None:
    """The same year, month and day, read in the Julian calendar and written in the Gregorian one."""
    # Four-year cycles of 1461 days, years starting in March; day 0 is 0000-03-01 Julian.
    cycle, of_cycle = divmod(days + 719_470, 1461)
    year_of_cycle = min(of_cycle // 365, 3)
    of_year = of_cycle - 365 * year_of_cycle
    month_index = (5 * of_year + 2) // 153
    day = of_year - (153 * month_index + 2) // 5 + 1
    month = (month_index + 2) % 12 + 1
    year = 4 * cycle + year_of_cycle + (month <= 2)
    found = days_from_civil(year, month, day)
    # 29 February of a year that is leap only in the Julian calendar becomes 1 March.
    return days_from_civil(year, 3, 1) if found is None else found
