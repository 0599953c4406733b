"""Intervals as text: `10 minutes`, `interval 1 hour -30 seconds`.

Source: `org.apache.spark.sql.catalyst.util.IntervalUtils.stringToInterval`. SQL's INTERVAL literals, whose values and
units are tokens, are read by `server.sql.interval_literals`.
"""

from __future__ import annotations

from decimal import Decimal

from riacho.errors import ParseError

UNIT_US = {
    "week": 7 * 86_400_000_000,
    "day": 86_400_000_000,
    "hour": 3_600_000_000,
    "minute": 60_000_000,
    "second": 1_000_000,
    "millisecond": 1_000,
    "microsecond": 1,
}
UNIT_MONTHS = {"year": 12, "month": 1}
_PREFIX = "interval"
_MOST_DIGITS = 9
_MOST_MONTHS, _MOST_US = 1 << 31, 1 << 63


def interval_us(text: str) -> tuple[int, int]:
    """Months and microseconds of an interval. Raises ParseError (CANNOT_PARSE_INTERVAL)."""
    words = _words(text.strip().lower())
    months = micros = 0
    if not words or len(words) % 2:
        raise unparsable(text)
    for number, unit in zip(words[::2], words[1::2], strict=True):
        more = amount(number, unit)
        if more is None:
            raise unparsable(text)
        months, micros = months + more[0], micros + more[1]
    if not (-_MOST_MONTHS <= months < _MOST_MONTHS and -_MOST_US <= micros < _MOST_US):
        raise unparsable(text)
    return months, micros


def amount(number: str, unit: str) -> tuple[int, int] | None:
    """Months and microseconds of so many of a unit, which may be a plural, whatever its case; None if it is none.

    Only seconds have a fraction.
    """
    sign, digits = (number[0], number[1:]) if number[:1] in ("+", "-") else ("", number)
    whole, point, fraction = digits.partition(".")
    name = unit.lower().removesuffix("s")
    if not ((whole + fraction).isascii() and (whole + fraction).isdigit()):
        return None
    if point and (name != "second" or len(fraction) > _MOST_DIGITS):
        return None
    value = Decimal(f"{sign}{whole or 0}.{fraction or 0}")
    if name in UNIT_MONTHS:
        return int(value) * UNIT_MONTHS[name], 0
    return (0, int(value * UNIT_US[name])) if name in UNIT_US else None


def _words(text: str) -> list[str]:
    """Number, unit, number, unit, …; a sign stands at its number, however far from it it was written."""
    words = text.split()
    if words and words[0] == _PREFIX:
        del words[0]
    found: list[str] = []
    sign = ""
    for word in words:
        if word in ("+", "-") and not sign:
            sign = word
        else:
            found.append(sign + word)
            sign = ""
    return [*found, sign] if sign else found


def interval_text(months: int, micros: int) -> str:
    """An interval as Spark shows it: `1 years 2 months`, `26 hours 3 minutes 4.5 seconds`. `micros`: microseconds."""
    hours, rest = divmod(abs(micros), UNIT_US["hour"])
    minutes, rest = divmod(rest, UNIT_US["minute"])
    seconds = format((Decimal(rest) / UNIT_US["second"]).normalize(), "f")
    sign = "-" if micros < 0 else ""
    years, odd = divmod(abs(months), 12)
    back = "-" if months < 0 else ""
    shown = [f"{back}{count} {unit}" for count, unit in ((years, "years"), (odd, "months")) if count]
    shown += [f"{sign}{count} {unit}" for count, unit in ((hours, "hours"), (minutes, "minutes")) if count]
    if rest or not shown:
        shown.append(f"{sign}{seconds} seconds")
    return " ".join(shown)


def unparsable(text: str) -> ParseError:
    """CANNOT_PARSE_INTERVAL."""
    return ParseError.of(
        "CANNOT_PARSE_INTERVAL",
        f"Unable to parse '{text}'. Please ensure that the value provided is in a valid format for defining an "
        "interval. You can reference the documentation for the correct format. If the issue persists, please double "
        "check that the input value is not null or empty and try again.",
        sql_state="22006",
        intervalString=f"'{text}'",
    )
