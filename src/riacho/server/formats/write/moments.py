"""Dates and times as text by Spark's patterns (`dd/MM/yyyy HH:mm`), whole columns at a time.

The counterpart of `patterns`, which reads them. A pattern is a list of parts, each of which gives the bytes of all
rows at once; parts of one width, which nearly all are, are put side by side in a matrix.

Source: `DateTimeFormatterHelper`, `java.time.format.DateTimeFormatterBuilder`, `docs/sql-ref-datetime-pattern.md`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from riacho.errors import IllegalArgumentError, SparkRuntimeError
from riacho.zones import DAY_US, tzinfo_of, zone_offset_us

Ints: TypeAlias = npt.NDArray[np.int64]
Bytes: TypeAlias = npt.NDArray[np.uint8]

DEFAULT_TIMESTAMP: Final = "yyyy-MM-dd'T'HH:mm:ss.SSSXXXXX"
"""What TIMESTAMPs are written with unless a pattern is given; an offset with seconds shows them."""
DEFAULT_NTZ: Final = "yyyy-MM-dd'T'HH:mm:ss.SSS"
DEFAULT_DATE: Final = "yyyy-MM-dd"

_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_QUARTERS: Final = ("1st quarter", "2nd quarter", "3rd quarter", "4th quarter")
_LAST_KNOWN_S: Final = 2_114_380_800
"""The beginning of 2037: files of zones list changes up to there, and Arrow knows no others."""
_LAST_OF_PYTHON_S: Final = 253_370_764_800
"""The beginning of 9999."""
_FOUR_CENTURIES_S: Final = 146_097 * 86_400
_TOKEN: Final = re.compile(r"'(?:[^']|'')*'|([A-Za-z])\1*|.", re.DOTALL)
_ILLEGAL: Final = frozenset("ABnNp")
_WEEK_BASED: Final = frozenset("YWwuec")


@dataclass(frozen=True)
class Moments:
    """The rows of one column, taken apart. `offset_s`: what their zone is ahead of UTC; None without a zone.

    `time_us`: since midnight; None for dates.
    """

    year: Ints
    month: Ints
    day: Ints
    day_of_year: Ints
    weekday: Ints
    time_us: Ints | None
    offset_s: Ints | None
    zone: str


Text: TypeAlias = "Bytes | pa.Array"
"""The text of each row: a matrix of bytes where all have one width, else strings."""
Part = Callable[[Moments], Text]


class MissingFieldError(Exception):
    """A pattern asks for what a column has not: the hour of a date, the zone of a TIMESTAMP_NTZ."""


@dataclass(frozen=True)
class MomentPattern:
    """A compiled pattern. `parts`: those in square brackets are lists, left out as a whole if they lack something."""

    text: str
    parts: tuple[Part, ...]

    def dates(self, column: pa.Array) -> pa.Array:
        """DATEs as text. Raises as `_spell`."""
        days = np.asarray(pc.fill_null(column.cast(pa.int32()), 0)).astype(np.int64)
        return self._spell(_moments(days, None, None, ""), column)

    def timestamps(self, column: pa.Array, zone: str) -> pa.Array:
        """TIMESTAMPs as text, in `zone`, or TIMESTAMP_NTZs. Raises as `_spell`."""
        micros = np.asarray(pc.fill_null(column.cast(pa.timestamp("us", column.type.tz)).cast(pa.int64()), 0))
        offset = _offsets_s(micros, zone) if column.type.tz is not None else None
        local = micros if offset is None else micros + offset * 1_000_000
        days = np.floor_divide(local, DAY_US)
        return self._spell(_moments(days, local - days * DAY_US, offset, zone), column)

    def _spell(self, moments: Moments, column: pa.Array) -> pa.Array:
        """Raises SparkRuntimeError if the column lacks what the pattern asks for."""
        try:
            texts = [part(moments) for part in self.parts]
        except MissingFieldError as missing:
            raise SparkRuntimeError(
                f"The pattern {self.text!r} asks for {missing}, which a value of type {column.type} does not have."
            ) from None
        return _joined(texts, len(column), column)


def _joined(texts: Sequence[Text], rows: int, column: pa.Array) -> pa.Array:
    """The parts of each row side by side; null where `column` is."""
    nulls = column.is_null() if column.null_count else None
    if all(isinstance(text, np.ndarray) for text in texts):
        joined = _strings(_beside(texts, rows))
    else:
        joined = pc.binary_join_element_wise(*(_strings(t) if isinstance(t, np.ndarray) else t for t in texts), "")
    return joined if nulls is None else pc.if_else(nulls, pa.scalar(None, pa.string()), joined)


def _beside(matrices: Sequence[Any], rows: int) -> Bytes:
    """Matrices side by side, each copied as items of its width."""
    width = sum(matrix.shape[1] for matrix in matrices)
    whole = np.empty(rows * width, np.uint8)
    at = 0
    for matrix in matrices:
        items = np.dtype({1: "u1", 2: "u2", 4: "u4", 8: "u8"}.get(matrix.shape[1], f"V{matrix.shape[1]}"))
        if matrix.shape[1] and rows:
            place = np.ndarray((rows,), items, whole.data, at, (width,))
            if matrix.strides[0] == 0:
                place[:] = np.ascontiguousarray(matrix[0]).view(items)[0]
            else:
                place[:] = np.ascontiguousarray(matrix).view(items)[:, 0]
        at += matrix.shape[1]
    return whole.reshape(rows, width)


def _strings(matrix: Bytes) -> pa.Array:
    rows, width = matrix.shape
    offsets = np.arange(0, (rows + 1) * width, width, dtype=np.int32) if width else np.zeros(rows + 1, np.int32)
    return pa.StringArray.from_buffers(rows, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(matrix)))


def _moments(days: Ints, time_us: Ints | None, offset_s: Ints | None, zone: str) -> Moments:
    """From days since the epoch. Days repeat, so the calendar is asked once for each."""
    if not len(days):
        return Moments(days, days, days, days, days, time_us, offset_s, zone)
    first, last = int(days.min()), int(days.max())
    if last - first < 4 * len(days) + 1000:
        each = [field[days - first] for field in _civil(np.arange(first, last + 1, dtype=np.int64))]
    else:
        each = list(_civil(days))
    year, month, day, day_of_year, weekday = each
    return Moments(year, month, day, day_of_year, weekday, time_us, offset_s, zone)


def _civil(days: Ints) -> tuple[Ints, Ints, Ints, Ints, Ints]:
    """Year, month, day, day of the year and of the week (0: Monday) by the proleptic Gregorian calendar.

    Counts years from March on, so that the leap day is the last one (Howard Hinnant, `civil_from_days`).
    """
    shifted = days + 719_468
    era = np.floor_divide(shifted, 146_097)
    of_era = shifted - era * 146_097
    year_of_era = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    from_march = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month_from_march = (5 * from_march + 2) // 153
    day = from_march - (153 * month_from_march + 2) // 5 + 1
    month = np.where(month_from_march < 10, month_from_march + 3, month_from_march - 9)
    year = year_of_era + era * 400 + (month <= 2)
    leap = ((year % 4 == 0) & (year % 100 != 0)) | (year % 400 == 0)
    day_of_year = np.where(month > 2, from_march + 60 + leap, from_march - 305)
    return year, month, day, day_of_year, np.mod(days + 3, 7)


def _offsets_s(micros: Ints, zone: str) -> Ints:
    """What `zone` is ahead of UTC at each moment, in seconds."""
    if zone == "UTC" or not len(micros):
        return np.zeros(len(micros), np.int64)
    # A zone changes at full quarters of an hour: it is asked once for each one that there is.
    quarters, places = np.unique(np.floor_divide(micros, 900_000_000), return_inverse=True)
    moments = pa.array(quarters * 900_000_000, pa.timestamp("us", "UTC"))
    try:
        local = pc.local_timestamp(moments.cast(pa.timestamp("us", zone)))
        offsets = np.asarray(local.cast(pa.int64())) // 1_000_000 - np.asarray(moments.cast(pa.int64())) // 1_000_000
    except pa.ArrowInvalid:  # an offset such as `+05:45` is no zone to Arrow
        fixed = zone_offset_us(zone, 0)
        assert fixed is not None, "checked when the option was read"
        offsets = np.full(len(quarters), fixed // 1_000_000)
    else:
        late = quarters >= _LAST_KNOWN_S // 900
        if late.any():
            offsets = offsets.copy()
            offsets[late] = _late_offsets_s(quarters[late] * 900, zone)
    return np.asarray(offsets[places], np.int64)


def _late_offsets_s(seconds: Ints, zone: str) -> Ints:
    """The offsets at moments after the last that is listed, by the zone's rule for the years to come.

    A rule gives the same after four hundred years, which brings years after 9999 to those that Python has.
    """
    rule = tzinfo_of(zone)
    beyond = np.maximum(seconds - _LAST_OF_PYTHON_S, 0)
    known = seconds - -(-beyond // _FOUR_CENTURIES_S) * _FOUR_CENTURIES_S
    found = [datetime.fromtimestamp(second, rule).utcoffset() for second in known.tolist()]
    return np.array([offset.total_seconds() if offset else 0 for offset in found], np.int64)


@lru_cache(maxsize=64)
def compile_moments(pattern: str) -> MomentPattern:
    """The writer of a Spark pattern.

    Raises IllegalArgumentError for letters that Spark or riacho do not take.
    """
    stack: list[list[Part]] = [[]]
    for token in _TOKEN.finditer(pattern):
        text = token.group()
        if text == "[":
            stack.append([])
        elif text == "]":
            if len(stack) == 1:
                raise _unrecognised(pattern)
            inner = stack.pop()
            stack[-1].append(_optional(tuple(inner)))
        elif text[0] == "'":
            stack[-1].append(_literal("'" if text == "''" else text[1:-1].replace("''", "'")))
        elif text[0].isalpha():
            stack[-1].append(_field(text[0], len(text), pattern))
        elif text in "#{}":
            raise _unrecognised(pattern)
        else:
            stack[-1].append(_literal(text))
    return MomentPattern(pattern, tuple(part for open_group in stack for part in open_group))


def _optional(parts: Sequence[Part]) -> Part:
    def text(moments: Moments) -> Text:
        rows = len(moments.year)
        try:
            texts = [part(moments) for part in parts]
        except MissingFieldError:
            return np.empty((rows, 0), np.uint8)
        return _joined(texts, rows, pa.nulls(0))

    return text


def _literal(word: str) -> Part:
    data = np.frombuffer(word.encode(), np.uint8)
    return lambda moments: np.broadcast_to(data, (len(moments.year), len(data)))


def _field(letter: str, length: int, pattern: str) -> Part:
    if letter in _ILLEGAL:
        raise IllegalArgumentError.of(
            "INVALID_DATETIME_PATTERN.ILLEGAL_CHARACTER",
            f"Unrecognized datetime pattern: {pattern}. Illegal pattern character found in datetime pattern: {letter}. "
            "Please provide legal character.",
            sql_state="22007",
            pattern=pattern,
            c=letter,
        )
    maker = _FIELDS.get(letter)
    part: Part | None = maker(length) if maker is not None else None
    if part is None or letter in _WEEK_BASED:
        raise _unrecognised(pattern)
    return part


def _unrecognised(pattern: str) -> IllegalArgumentError:
    return IllegalArgumentError.of(
        "INCONSISTENT_BEHAVIOR_CROSS_VERSION.DATETIME_PATTERN_RECOGNITION",
        f"Fail to recognize '{pattern}' pattern in the DateTimeFormatter. Use y M L d D E F Q q G a H h k K m s S X x "
        "Z VV O, 'quoted text' and [optional parts].",
        sql_state="42K0B",
        pattern=pattern,
    )


def _number(get: Callable[[Moments], Ints], most: int) -> Callable[[int], Part | None]:
    """A number of at least as many digits as there are letters, of which there are at most `most`."""

    def make(length: int) -> Part | None:
        return (lambda moments: _digits(get(moments), length)) if length <= most else None

    return make


def _digits(values: Ints, least: int) -> Text:
    """Numbers that are not negative, with zeros in front up to `least` digits."""
    largest = int(values.max(initial=0))
    if largest < 10**least:
        if least <= 4:
            words = _table(least)[values]
            return words.view(np.uint8).reshape(len(values), words.itemsize)[:, :least]
        high = values // 1000
        above, below = _digits(high, least - 3), _digits(values - high * 1000, 3)
        assert isinstance(above, np.ndarray)
        assert isinstance(below, np.ndarray)
        return np.concatenate((above, below), axis=1)
    texts = pa.array(values).cast(pa.string())
    return pc.utf8_lpad(texts, least, "0")


@lru_cache(maxsize=4)
def _table(digits: int) -> npt.NDArray[Any]:
    """The text of all numbers of up to so many digits, each as one item of 1, 2 or 4 bytes."""
    width = 4 if digits == 3 else digits
    words = "".join(f"{number:0{digits}}".ljust(width) for number in range(10**digits))
    return np.frombuffer(words.encode(), np.dtype(f"u{width}"))


def _year(length: int) -> Part | None:
    def text(moments: Moments) -> Text:
        year = moments.year
        if length == 2:
            return _digits(np.abs(year) % 100, 2)
        if length != 1 and (not len(year) or (int(year.min()) >= 0 and int(year.max()) < 10**length)):
            return _digits(year, length)
        plain = pc.utf8_lpad(pa.array(np.abs(year)).cast(pa.string()), length, "0")
        above = (year >= 10**length) & (length >= 4)
        sign = pa.array(np.where(year < 0, "-", np.where(above, "+", "")).astype(object), pa.string())
        return pc.binary_join_element_wise(sign, plain, "")

    return text if length <= 6 else None


def _named(get: Callable[[Moments], Ints], short: Sequence[str], full: Sequence[str]) -> Callable[[int], Part | None]:
    def make(length: int) -> Part | None:
        names = pa.array(full if length == 4 else short)
        return (lambda moments: names.take(pa.array(get(moments)))) if length <= 4 else None

    return make


def _month(length: int) -> Part | None:
    if length <= 2:
        return lambda moments: _digits(moments.month, length)
    return _named(lambda moments: moments.month - 1, [name[:3] for name in _MONTHS], _MONTHS)(length)


def _quarter(length: int) -> Part | None:
    if length <= 2:
        return lambda moments: _digits((moments.month + 2) // 3, length)
    return _named(lambda moments: (moments.month - 1) // 3, ["Q1", "Q2", "Q3", "Q4"], _QUARTERS)(length)


def _fraction(length: int) -> Part | None:
    def text(moments: Moments) -> Text:
        time = _time(moments)
        micros = time - time // 1_000_000 * 1_000_000
        if length <= 6:
            return _digits(micros // 10 ** (6 - length), length)
        digits = _digits(micros, 6)
        assert isinstance(digits, np.ndarray), "below a million"
        return np.concatenate((digits, np.full((len(micros), length - 6), 48, np.uint8)), axis=1)

    return text if length <= 9 else None


def _offset(letter: str) -> Callable[[int], Part | None]:
    def make(length: int) -> Part | None:
        spell = _OFFSETS.get((letter, length))
        if spell is None:
            return None

        def text(moments: Moments) -> Text:
            if moments.offset_s is None:
                raise MissingFieldError("the zone")
            offsets = moments.offset_s
            if not len(offsets) or (offsets == offsets[0]).all():
                return _literal(spell(int(offsets[0]) if len(offsets) else 0))(moments)
            values, places = np.unique(offsets, return_inverse=True)
            words = [spell(int(value)) for value in values]
            if len({len(word) for word in words}) == 1:
                table = np.frombuffer("".join(words).encode(), np.uint8).reshape(len(words), -1)
                return table[places]
            return pa.array(words).take(pa.array(places))

        return text

    return make


def _shown_offset(seconds: int, between: str, *, minutes: str = "always", with_seconds: bool = False) -> str:
    """`-03:00`. `minutes`: "always", or "needed" for only those that are not 0."""
    whole, rest = divmod(abs(seconds), 60)
    hours, minute = divmod(whole, 60)
    text = f"{'-' if seconds < 0 else '+'}{hours:02}"
    if minutes == "always" or minute or (with_seconds and rest):
        text += f"{between}{minute:02}"
    return text + f"{between}{rest:02}" if with_seconds and rest else text


def _z(shown: Callable[[int], str]) -> Callable[[int], str]:
    return lambda seconds: "Z" if seconds == 0 else shown(seconds)


def _gmt(seconds: int) -> str:
    return "GMT" if seconds == 0 else "GMT" + _shown_offset(seconds, ":", with_seconds=True)


def _short_gmt(seconds: int) -> str:
    if seconds == 0:
        return "GMT"
    shown = _shown_offset(seconds, ":", minutes="needed", with_seconds=True)
    return f"GMT{shown[0]}{shown[1:].removeprefix('0')}"


_PLAIN: Final[dict[int, Callable[[int], str]]] = {
    1: lambda s: _shown_offset(s, "", minutes="needed"),
    2: lambda s: _shown_offset(s, ""),
    3: lambda s: _shown_offset(s, ":"),
    4: lambda s: _shown_offset(s, "", with_seconds=True),
    5: lambda s: _shown_offset(s, ":", with_seconds=True),
}
_OFFSETS: Final[dict[tuple[str, int], Callable[[int], str]]] = {
    **{("x", length): shown for length, shown in _PLAIN.items()},
    **{("X", length): _z(shown) for length, shown in _PLAIN.items()},
    **{("Z", length): _PLAIN[2] for length in (1, 2, 3)},
    ("Z", 4): _gmt,
    ("Z", 5): _z(_PLAIN[5]),
    ("O", 1): _short_gmt,
    ("O", 4): _gmt,
}


def _zone_name(length: int) -> Part | None:
    def text(moments: Moments) -> Text:
        if moments.offset_s is None:
            raise MissingFieldError("the zone")
        return _literal("Z" if moments.zone == "UTC" else moments.zone)(moments)

    return text if length == 2 else None


def _time(moments: Moments) -> Ints:
    if moments.time_us is None:
        raise MissingFieldError("the time of day")
    return moments.time_us


def _of_sixty(values: Ints) -> Ints:
    return values - values // 60 * 60  # numpy has a fast way to divide by a constant, and none for the rest


def _hour(moments: Moments) -> Ints:
    return _time(moments) // 3_600_000_000


_FIELDS: Final[dict[str, Callable[[int], Any]]] = {
    "y": _year,
    "M": _month,
    "L": _month,
    "d": _number(lambda m: m.day, 2),
    "D": _number(lambda m: m.day_of_year, 3),
    "E": _named(lambda m: m.weekday, [name[:3] for name in _DAYS], _DAYS),
    "F": _number(lambda m: (m.day - 1) % 7 + 1, 1),
    "Q": _quarter,
    "q": _quarter,
    "G": _named(lambda m: np.where(m.year > 0, 1, 0), ("BC", "AD"), ("Before Christ", "Anno Domini")),
    "a": lambda length: _named(lambda m: _hour(m) // 12, ("AM", "PM"), ())(length) if length == 1 else None,
    "H": _number(_hour, 2),
    "k": _number(lambda m: (_hour(m) + 23) % 24 + 1, 2),
    "K": _number(lambda m: _hour(m) % 12, 2),
    "h": _number(lambda m: (_hour(m) + 11) % 12 + 1, 2),
    "m": _number(lambda m: _of_sixty(_time(m) // 60_000_000), 2),
    "s": _number(lambda m: _of_sixty(_time(m) // 1_000_000), 2),
    "S": _fraction,
    "X": _offset("X"),
    "x": _offset("x"),
    "Z": _offset("Z"),
    "O": _offset("O"),
    "V": _zone_name,
}
