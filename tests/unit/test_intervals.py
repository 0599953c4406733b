"""Intervals, times and sizes as text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riacho.errors import ParseError
from riacho.intervals import UNIT_MONTHS, UNIT_US, interval_text, interval_us
from riacho.units import byte_size, time_ms

UNITS = st.sampled_from([*UNIT_MONTHS, *UNIT_US])


@given(terms=st.lists(st.tuples(st.integers(-10_000, 10_000), UNITS, st.booleans()), min_size=1, max_size=4))
def test_terms_add_up(terms: list[tuple[int, str, bool]]) -> None:
    text = " ".join(f"{count} {unit.upper()}{'s' * many}" for count, unit, many in terms)
    months = sum(count * UNIT_MONTHS.get(unit, 0) for count, unit, _ in terms)
    micros = sum(count * UNIT_US.get(unit, 0) for count, unit, _ in terms)
    assert interval_us(text) == interval_us(f" Interval\t{text}\n") == (months, micros)


@given(months=st.integers(-1000, 1000), micros=st.integers(-(10**15), 10**15))
def test_what_is_shown_is_read_again(months: int, micros: int) -> None:
    assert interval_us(interval_text(months, micros)) == (months, micros)


@given(text=st.text(alphabet="1 .-+eE'interval secondsminute", max_size=20))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        months, micros = interval_us(text)
    except ParseError:
        return
    assert interval_us(interval_text(months, micros)) == (months, micros)


@pytest.mark.parametrize(
    ("text", "micros"),
    [(".5 seconds", 500_000), ("5. seconds", 5_000_000), ("+.5 second", 500_000), ("- 1 minute", -60_000_000)],
)
def test_signs_and_fractions(text: str, micros: int) -> None:
    assert interval_us(text) == (0, micros)


@pytest.mark.parametrize(
    "text",
    ["1.000 minutes", "1minute", "1 minute1 second", "interval", "1 minutess", "1 nanosecond", "1.1234567891 seconds",
     "interval1 minute", "1 second,2 minutes", "'1 minute'", "999999999999999999999 days", "1e3 seconds",
     "--1 day", ". seconds", "1 second -", "+ - 1 second", "²5 seconds"],
)  # fmt: skip
def test_what_spark_does_not_read(text: str) -> None:
    with pytest.raises(ParseError, match="CANNOT_PARSE_INTERVAL"):
        interval_us(text)


def test_as_spark_shows_them() -> None:
    assert interval_text(14, 0) == "1 years 2 months"
    assert interval_text(0, 93_784_500_000) == "26 hours 3 minutes 4.5 seconds"
    assert interval_text(0, -60_000_000) == "-1 minutes"
    assert interval_text(0, 0) == "0 seconds"


def test_times_and_sizes() -> None:
    assert [time_ms(text) for text in ("7d", "12H", "30 min", "250us", "5", "1500us")] == [
        604_800_000, 43_200_000, 1_800_000, 0, 5, 1,
    ]  # fmt: skip
    assert time_ms("5", default_unit="s") == 5000
    assert [time_ms(text) for text in ("", "s", "-5s", "1.5s", "5 weeks", "٣s")] == [None] * 6
    assert [byte_size(text) for text in ("10", "1k", "10 MB", "2GiB", "3b", "1 TB")] == [
        10, 1024, 10 << 20, 2 << 30, 3, 1 << 40,
    ]  # fmt: skip
    assert [byte_size(text) for text in ("", "k", "-1", "1x", "1kk", "1ib", "1.5g")] == [None] * 7
