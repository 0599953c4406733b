"""INTERVAL literals: `INTERVAL 1 HOUR 30 MINUTES`, `INTERVAL '1 hour'`, `INTERVAL '1:30' HOUR TO MINUTE`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from riacho.errors import ParseError
from riacho.intervals import UNIT_MONTHS, UNIT_US, amount, interval_us
from riacho.server.sql.tokens import Token, string_value

_NAMES = {**UNIT_MONTHS, **UNIT_US, "nanosecond": 0}
UNITS = frozenset(form for name in _NAMES for form in (name.upper(), f"{name.upper()}S"))
"""The words for units, singular and plural."""
_FIELDS = ("day", "hour", "minute", "second")


class IntervalLiteral(NamedTuple):
    """`units`: those named, singular, in lower case. `value`: months and microseconds; None if it is invalid."""

    units: frozenset[str]
    value: tuple[int, int] | None


def read_interval(tokens: Sequence[Token], at: int, end: int | None = None) -> tuple[IntervalLiteral | None, int]:
    """The interval whose first value is at token `at`, after INTERVAL, and the position after it.

    If there is none: None, and the position where reading failed, at a value or at what should be its unit.
    """
    stop = len(tokens) if end is None else end
    units: set[str] = set()
    months = micros = 0
    known, first = True, at
    while at < stop:
        signed = tokens[at].text in ("-", "+") and at + 1 < stop
        value = tokens[at + signed]
        if value.kind not in ("number", "string"):
            break
        unit = _unit(tokens, at + signed + 1, stop)
        if unit is None:
            if value.kind == "string" and at == first:
                return _of_text(string_value(value), tokens[at].text if signed else ""), at + signed + 1
            return (None, at + signed + 1) if at == first else (_literal(units, months, micros, known), at)
        text, sign = _text(value), -1 if tokens[at].text == "-" else 1
        at += signed + 2
        if at + 1 < stop and tokens[at].word == "TO" and (last := _unit(tokens, at + 1, stop)) is not None:
            at += 2
            units |= _between(unit, last)
            more = _fields(text, unit, last)
        else:
            units.add(unit)
            more = amount(text, unit)
        known = known and more is not None
        months, micros = months + sign * (more[0] if more else 0), micros + sign * (more[1] if more else 0)
    return (_literal(units, months, micros, known) if at > first else None), at


def _literal(units: set[str], months: int, micros: int, known: bool) -> IntervalLiteral:
    return IntervalLiteral(frozenset(units), (months, micros) if known else None)


def _unit(tokens: Sequence[Token], at: int, stop: int) -> str | None:
    return tokens[at].text.lower().removesuffix("s") if at < stop and tokens[at].word in UNITS else None


def _text(value: Token) -> str:
    return string_value(value).strip() if value.kind == "string" else value.text


def _of_text(text: str, sign: str) -> IntervalLiteral:
    """`INTERVAL 'text'`."""
    units = frozenset(word.removesuffix("s") for word in text.lower().split() if word.upper() in UNITS)
    try:
        months, micros = interval_us(text)
    except ParseError:
        return IntervalLiteral(units, None)
    return IntervalLiteral(units, (-months, -micros) if sign == "-" else (months, micros))


def _between(first: str, last: str) -> frozenset[str]:
    """The units of `first TO last`."""
    if first in _FIELDS and last in _FIELDS:
        return frozenset(_FIELDS[_FIELDS.index(first) : _FIELDS.index(last) + 1])
    return frozenset((first, last))


def _fields(text: str, first: str, last: str) -> tuple[int, int] | None:
    """`1-2` for years to months, `1 2:03:04.5` for days to seconds; None if the numbers do not match the fields."""
    negative = text.startswith("-")
    plain = text.lstrip("+-")
    if (first, last) == ("year", "month"):
        names, numbers = [first, last], plain.split("-")
    elif first in _FIELDS and last in _FIELDS:
        names = list(_FIELDS[_FIELDS.index(first) : _FIELDS.index(last) + 1])
        numbers = list(_clock(plain, has_days=first == "day"))
    else:
        return None
    amounts = [amount(number, name) for number, name in zip(numbers, names, strict=False)]
    if len(numbers) != len(names) or None in amounts or text.count("-") - text.startswith("-") > 1:
        return None
    months, micros = (sum(each[part] for each in amounts if each) for part in (0, 1))
    return (-months, -micros) if negative else (months, micros)


def _clock(text: str, *, has_days: bool) -> Iterator[str]:
    """The numbers of `1 2:03:04.5`, or of `2:03:04.5`."""
    if has_days:
        days, _, text = text.partition(" ")
        yield days
    yield from text.strip().split(":")
