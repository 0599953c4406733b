from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riacho.server.formats.times import days_from_civil, days_from_legacy_number, to_days, to_local_micros, to_micros
from riacho.zones import DAY_US, zone_offset_us

EPOCH = date(1970, 1, 1)


@given(st.dates())
def test_days_count_as_the_calendar_does(day: date) -> None:
    assert days_from_civil(day.year, day.month, day.day) == (day - EPOCH).days
    assert to_days(day.isoformat()) == (day - EPOCH).days


@given(st.integers(-9999, 30000), st.integers(0, 13), st.integers(0, 32))
def test_a_date_exists_or_it_does_not(year: int, month: int, day: int) -> None:
    """The Gregorian calendar repeats itself every 400 years, so any year can be looked up in one that Python has."""
    twin = 2000 + (year % 400)
    try:
        expected = (date(twin, month, day) - EPOCH).days + (year - twin) // 400 * 146_097
    except ValueError:
        assert days_from_civil(year, month, day) is None
    else:
        assert days_from_civil(year, month, day) == expected


@given(st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30)), st.sampled_from([" ", "T"]))  # noqa: DTZ001
def test_timestamps_round_trip(moment: datetime, between: str) -> None:
    micros = (moment.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    assert to_local_micros(moment.isoformat(between)) == micros
    assert to_micros(moment.isoformat(between), "UTC", 0) == micros
    assert to_micros(moment.isoformat(between), "+02:00", 0) == micros - 7_200_000_000


def test_a_time_of_day_belongs_to_today() -> None:
    assert to_micros("03:00", "UTC", 2) == 2 * DAY_US + 3 * 3_600_000_000
    assert to_local_micros("03:00") is None


@pytest.mark.parametrize(
    ("name", "hours"),
    [
        ("Z", 0),
        ("UTC", 0),
        ("+2:00", 2),
        ("GMT-3", -3),
        ("UTC+05:30", 5.5),
        ("EST", -5),
        ("America/Sao_Paulo", -3),
        ("PST", -8),
    ],
)
def test_zones_by_their_many_names(name: str, hours: float) -> None:
    assert zone_offset_us(name, to_local_micros("2024-01-15") or 0) == hours * 3_600_000_000


@pytest.mark.parametrize("name", ["", "z", "+18:01", "+1:60", "Nowhere/City", "../etc/passwd", "UTC+", "X"])
def test_names_of_no_zone(name: str) -> None:
    assert zone_offset_us(name, 0) is None


@pytest.mark.parametrize(
    ("text", "days"),
    [("12", 12), ("-141427", -141_427), ("-141428", -141_438 + 10), ("x", None), ("9999999999", None), ("1.5", None)],
)
def test_day_numbers_of_old_spark(text: str, days: int | None) -> None:
    """1582-10-15 follows 1582-10-04 in the old calendar; the day before has the date of ten days earlier."""
    if text == "-141428":
        assert days_from_legacy_number(text) == days_from_civil(1582, 10, 4)
    else:
        assert days_from_legacy_number(text) == days
