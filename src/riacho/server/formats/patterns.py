"""Spark's date and time patterns (`dd/MM/yyyy HH:mm`) as strict parsers of text.

A pattern becomes one regular expression. As in Spark: letters stand for fields, text between quotes for itself, square
brackets for what may be missing; case does not matter; a field that
the pattern lacks is the first of its kind (year 1970, month 1, midnight). Source: `DateTimeFormatterHelper`,
`java.time.format.DateTimeFormatter`, `docs/sql-ref-datetime-pattern.md`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from riacho.errors import IllegalArgumentError
from riacho.server.formats.times import days_from_civil
from riacho.zones import DAY_US, SHORT_IDS, zone_offset_us

_MONTHS: Final = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip


def _names(words: tuple[str, ...], length: int) -> str:
    """Alternatives for a name: its first three letters, or all of it when the pattern has four letters."""
    return "|".join(word if length == 4 else word[:3] for word in words)


def _number(length: int) -> str:
    return r"\d{1,19}" if length == 1 else rf"\d{{{length}}}"


def _year(length: int) -> str:
    if length == 2:
        return r"\d{2}"
    return r"-?\d{1,19}" if length == 1 else rf"-?\d{{{length}}}|\+\d{{{length + 1},10}}"


_OFFSETS: Final = {
    "X": (
        r"Z|[+-]\d\d(?:\d\d)?",
        r"Z|[+-]\d{4}",
        r"Z|[+-]\d\d:\d\d",
        r"Z|[+-]\d{4}(?:\d\d)?",
        r"Z|[+-]\d\d:\d\d(?::\d\d)?",
    ),
    "x": (
        r"[+-]\d\d(?:\d\d)?",
        r"[+-]\d{4}",
        r"[+-]\d\d:\d\d",
        r"[+-]\d{4}(?:\d\d)?",
        r"[+-]\d\d:\d\d(?::\d\d)?",
    ),
    "Z": (
        r"[+-]\d{4}",
        r"[+-]\d{4}",
        r"[+-]\d{4}",
        r"GMT(?:[+-]\d\d:\d\d(?::\d\d)?)?",
        r"Z|[+-]\d\d:\d\d(?::\d\d)?",
    ),
    "O": (r"GMT(?:[+-]\d{1,2}(?::\d\d)?)?", "", "", r"GMT(?:[+-]\d\d:\d\d)?"),
}
"""Forms of a zone offset by pattern letter and number of letters; empty: there is no such form."""

_ZONE_NAME: Final = r"[A-Za-z+-][A-Za-z0-9~/._+:-]*"
_SHORT_NAMES: Final = "|".join(sorted(SHORT_IDS.keys() - {"EST", "MST", "HST"}))
"""Names that only old Java code takes for zones; the three left out are regions of their own."""

_NUMBERS: Final = {
    "d": "day", "H": "hour", "h": "hour12", "k": "hour24", "K": "hour11", "m": "minute", "s": "second",
}  # fmt: skip
"""Pattern letters whose text is a number of as many digits as there are letters, or of any for one letter."""


def _expression(letter: str, length: int, pattern: str) -> tuple[str, str]:
    """(name of the field, expression of its text) for a run of one letter. Raises DATETIME_PATTERN_RECOGNITION."""
    if letter in _NUMBERS:
        return _NUMBERS[letter], _number(length)
    if letter in _OFFSETS:
        forms = _OFFSETS[letter]
        found = ("zone", forms[length - 1] if length <= len(forms) else "")
    else:
        found = {
            "y": ("year2" if length == 2 else "year", _year(length)),
            "u": ("year2" if length == 2 else "year", _year(length)),
            "M": ("month", _number(length)) if length < 3 else ("month_name", _names(_MONTHS, length)),
            "L": ("month", _number(length)) if length < 3 else ("month_name", _names(_MONTHS, length)),
            "D": ("day_of_year", r"\d{1,3}" if length == 1 else rf"\d{{{length}}}"),
            "a": ("half", "am|pm"),
            "S": ("fraction", rf"\d{{1,{length}}}"),
            "z": ("zone", _ZONE_NAME),
            "V": ("zone", rf"(?!(?:{_SHORT_NAMES})\b){_ZONE_NAME}" if length == 2 else ""),
        }.get(letter, ("", ""))
    if not found[1]:
        raise IllegalArgumentError.of(
            "INCONSISTENT_BEHAVIOR_CROSS_VERSION.DATETIME_PATTERN_RECOGNITION",
            f"Fail to recognize '{pattern}' pattern in the DateTimeFormatter: {letter * length!r} is not understood. "
            "Use y M d D a H h k K m s S X x Z z VV O, 'quoted text' and [optional parts].",
            sql_state="42K0B",
            pattern=pattern,
        )
    return found


_TOKEN: Final = re.compile(r"'(?:[^']|'')*'|([A-Za-z])\1*|.", re.DOTALL)


@dataclass(frozen=True)
class Pattern:
    """A compiled pattern. `parse…` return None for text that does not follow it."""

    text: str
    expression: re.Pattern[str]

    def days(self, text: str) -> int | None:
        """A DATE (days since the epoch)."""
        match = self.expression.fullmatch(text)
        if match is None:
            return None
        fields = _fields(match)
        # The time must be one, although nobody asks for it.
        return None if _time_us(fields) is None else _day(fields)

    def micros(self, text: str, zone: str) -> int | None:
        """A TIMESTAMP (microseconds since the epoch); `zone` is for text that names none."""
        fields = self._parsed(text)
        if fields is None:
            return None
        local, named = fields
        offset = zone_offset_us(named.upper() if named and named[0] in "zZgG" else named or zone, local)
        return None if offset is None else local - offset

    def local_micros(self, text: str) -> int | None:
        """A TIMESTAMP_NTZ: None also if the text names a zone."""
        fields = self._parsed(text)
        return None if fields is None or fields[1] is not None else fields[0]

    def _parsed(self, text: str) -> tuple[int, str | None] | None:
        match = self.expression.fullmatch(text)
        if match is None:
            return None
        fields = _fields(match)
        day, time = _day(fields), _time_us(fields)
        return None if day is None or time is None else (day * DAY_US + time, fields.get("zone"))


@lru_cache(maxsize=256)
def compile_pattern(pattern: str) -> Pattern:
    """The parser of a Spark pattern. Raises IllegalArgumentError for letters that are not understood."""
    parts: list[str] = []
    seen: dict[str, int] = {}
    for token in _TOKEN.finditer(pattern):
        text = token.group()
        if text[0] == "'":
            parts.append("'" if text == "''" else re.escape(text[1:-1].replace("''", "'")))
        elif text[0].isalpha():
            name, expression = _expression(text[0], len(text), pattern)
            seen[name] = seen.get(name, 0) + 1
            parts.append(f"(?P<{name}_{seen[name]}>{expression})")
        else:
            parts.append({"[": "(?:", "]": ")?"}.get(text) or re.escape(text))
    try:
        return Pattern(pattern, re.compile("".join(parts), re.IGNORECASE | re.ASCII))
    except re.error as error:
        raise IllegalArgumentError(f"The date and time pattern {pattern!r} is not well formed: {error}") from error


def _fields(match: re.Match[str]) -> dict[str, str]:
    return {name.rsplit("_", 1)[0]: text for name, text in match.groupdict().items() if text is not None}


def _day(fields: dict[str, str]) -> int | None:
    year = int(fields["year"]) if "year" in fields else 2000 + int(fields["year2"]) if "year2" in fields else 1970
    if "month_name" in fields:
        month = next(i for i, name in enumerate(_MONTHS, 1) if name.startswith(fields["month_name"].lower()[:3]))
    else:
        month = int(fields.get("month", 1))
    if "day_of_year" in fields:
        first, ordinal = days_from_civil(year, 1, 1), int(fields["day_of_year"])
        following = days_from_civil(year + 1, 1, 1)
        assert first is not None
        assert following is not None
        day = first + ordinal - 1 if 1 <= ordinal <= following - first else None
    else:
        day = days_from_civil(year, month, int(fields.get("day", 1)))
    return day


def _time_us(fields: dict[str, str]) -> int | None:
    afternoon = fields.get("half", "am").lower() == "pm"
    if "hour12" in fields:
        hour = int(fields["hour12"]) % 12 + 12 * afternoon if 1 <= int(fields["hour12"]) <= 12 else 24
    elif "hour11" in fields:
        hour = int(fields["hour11"]) + 12 * afternoon if int(fields["hour11"]) < 12 else 24
    elif "hour24" in fields:
        hour = int(fields["hour24"]) % 24 if 1 <= int(fields["hour24"]) <= 24 else 24
    else:
        hour = int(fields.get("hour", 12 * afternoon))
    minute, second = int(fields.get("minute", 0)), int(fields.get("second", 0))
    if hour > 23 or minute > 59 or second > 59:
        return None
    return ((hour * 60 + minute) * 60 + second) * 1_000_000 + int(fields.get("fraction", "0")[:6].ljust(6, "0"))
