"""Doubles as the decimal numbers that they are written as, whole columns at once.

Spark rounds a double, or makes a DECIMAL of it, by its shortest text: 1.005 is 1.005 and not 1.00499999999999989…, and
becomes 1.01. Nearly all of it needs no text. With f whole and (10f + 5) < 10^15, the tie (10f + 5) / 10^(n+1) is one
correctly rounded division, and a double is compared with it as its text would be: what is greater has a greater text,
and what is equal has the tie as its text, because decimals of 15 digits are doubles of their own. What has more digits
goes through its text.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Context, Decimal
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from riacho.errors import ArithmeticFailure

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_SURE: Final = 1e14
"""Whole numbers below this leave room for one more digit among the 15 that every double keeps."""
_EXACT_POWER: Final = 22
"""10 to this power is the greatest that a double holds exactly."""
_MOST_DIGITS: Final = 17
"""No double's shortest text has more."""
_WIDE: Final = 76
"""The digits of the widest decimal that Arrow has."""
_FAR: Final = 400
"""No double reaches so many digits in front of the point or behind it."""


def rounded(column: pa.Array, digits: int, even: bool) -> pa.Array:
    """`round` of FLOAT or DOUBLE, or `bround` if `even`: ties go away from zero, or to the even digit."""
    kind = column.type
    values = _floats(column)
    with np.errstate(all="ignore"):
        found = _rounded(values, max(-_FAR, min(digits, _FAR)), even)
        made = found.astype(np.float32) if kind == pa.float32() else found
    return _with_nulls(pa.array(made), column)


def _rounded(values: Floats, digits: int, even: bool) -> Floats:
    size = np.abs(values)
    if -_EXACT_POWER <= digits < _EXACT_POWER:
        whole, sure = _nearest(size, digits, even)
        found = whole / 10.0**digits if digits >= 0 else whole * 10.0**-digits
    else:
        found, sure = np.zeros_like(size), size < _power(-digits - 1)
    kept = ~np.isfinite(size) | (np.log10(size) + digits > _MOST_DIGITS)
    rest = ~(sure | kept)
    if digits >= 0 and rest.any():
        kept[rest] = _is_short(size[rest], digits)
        rest &= ~kept
    found = np.where(kept, size, found)
    if rest.any():
        found[rest] = _by_text(size[rest], digits, even)
    return np.where(found == 0, 0.0, np.copysign(found, values))


def _power(exponent: int) -> float:
    """10 to that power; infinite if it is too large."""
    return float(f"1e{exponent}")


def _nearest(size: Floats, digits: int, even: bool) -> tuple[Floats, Flags]:
    """The multiples of 10^-digits that are nearest, as whole numbers of them, and which of these are certain."""
    if digits >= 0:
        floor = np.floor(size * 10.0**digits)
        tie = (floor * 10 + 5) / 10.0 ** (digits + 1)
    else:
        floor = np.floor(size / 10.0**-digits)
        tie = (floor * 10 + 5) * 10.0 ** (-digits - 1)
    up = (size > tie) | ((size == tie) & (floor % 2 == 1)) if even else size >= tie
    return floor + up, floor < _SURE


def _is_short(size: Floats, digits: int) -> Flags:
    """Which have at most 15 digits, and no more than `digits` of them behind the point."""
    behind = np.clip(np.minimum(14 - np.floor(np.log10(size)), digits), 0, _EXACT_POWER)
    whole = np.rint(size * 10.0**behind)
    found: Flags = (whole / 10.0**behind == size) & (whole < 10 * _SURE)
    return found


def _by_text(size: Floats, digits: int, even: bool) -> list[float]:
    """Those of 16 and 17 digits whose last ones go."""
    context = Context(prec=2 * _FAR, rounding=ROUND_HALF_EVEN if even else ROUND_HALF_UP)
    unit = Decimal(1).scaleb(-digits)
    return [float(context.quantize(Decimal(repr(value)), unit)) for value in size.tolist()]


def to_decimal(column: pa.Array, precision: int, scale: int, strict: bool) -> pa.Array:
    """FLOAT or DOUBLE as DECIMAL(precision, scale); null for NaN and infinities.

    Raises ArithmeticFailure for what is too large if `strict`; it is null otherwise.
    """
    values = _floats(column)
    with np.errstate(all="ignore"):
        words, gone, over = _decimals(values, precision, scale)
    given = ~column.is_null().to_numpy(zero_copy_only=False)
    over &= given
    if strict and over.any():
        raise _out_of_range(float(values[over][0]), precision, scale)
    valid = pa.array(given & ~gone & ~over)
    kind = pa.decimal128(precision, scale)
    return pa.Array.from_buffers(kind, len(values), [valid.buffers()[1], pa.py_buffer(words.tobytes())])


def _decimals(values: Floats, precision: int, scale: int) -> tuple[npt.NDArray[np.int64], Flags, Flags]:
    """The two halves of each decimal, which values are no numbers, and which are too large."""
    size = np.abs(values)
    gone = ~np.isfinite(values)
    over = np.isfinite(values) & (size >= 2 * _power(precision - scale))
    words = np.zeros((len(values), 2), dtype=np.int64)
    todo = ~(gone | over | (size < _power(-scale - 1)))
    if scale < _EXACT_POWER:
        whole, sure = _nearest(size, scale, even=False)
        sure &= todo
        number = np.where(sure, np.copysign(whole, values), 0).astype(np.int64)
        words[:, 0], words[:, 1] = number, number >> 63
        over |= sure & (whole >= _power(precision))
        todo &= ~sure
    ways: tuple[_Way, ...] = (_short_decimals, _text_decimals)
    for way in ways:
        if todo.any():
            found, done, large = way(values[todo], precision, scale)
            at = np.flatnonzero(todo)
            words[at[done]] = found[done]
            over[at[done & large]] = True
            todo[at[done]] = False
    return words, gone, over


_Way = Callable[[Floats, int, int], tuple[npt.NDArray[np.int64], Flags, Flags]]


def _short_decimals(values: Floats, precision: int, scale: int) -> tuple[npt.NDArray[np.int64], Flags, Flags]:
    """Those of at most 15 digits, with fewer behind the point than `scale`."""
    behind = int(np.clip(14 - np.floor(np.log10(np.max(np.abs(values)))), 0, min(scale, _EXACT_POWER)))
    whole = np.rint(values * 10.0**behind)
    done = (whole / 10.0**behind == values) & (np.abs(whole) < 10 * _SURE)
    number = pa.array(np.where(done, whole, 0).astype(np.int64))
    numbers = _relabelled(number.cast(pa.decimal128(19, 0)), behind).cast(pa.decimal256(_WIDE, scale))
    return _halves(numbers, precision, scale, done)


def _text_decimals(values: Floats, precision: int, scale: int) -> tuple[npt.NDArray[np.int64], Flags, Flags]:
    """Any others that are in reach."""
    exact = pa.array(values).cast(pa.string()).cast(pa.decimal256(_WIDE, scale + _MOST_DIGITS + 1))
    near = pc.round(exact, scale, round_mode="half_towards_infinity").cast(pa.decimal256(_WIDE, scale))
    return _halves(near, precision, scale, np.ones(len(values), dtype=np.bool_))


def _halves(numbers: pa.Array, precision: int, scale: int, done: Flags) -> tuple[npt.NDArray[np.int64], Flags, Flags]:
    limit = pa.scalar(Decimal(1).scaleb(precision - scale), pa.decimal256(_WIDE, scale))
    large = pc.greater_equal(pc.abs(numbers), limit).to_numpy(zero_copy_only=False)
    data = np.frombuffer(numbers.buffers()[1], dtype=np.int64).reshape(-1, 4)
    return data[numbers.offset : numbers.offset + len(numbers), :2], done, large


def _relabelled(whole: pa.Array, scale: int) -> pa.Array:
    """Whole decimals as so many units of the last digit."""
    return pa.Array.from_buffers(pa.decimal128(38, scale), len(whole), whole.buffers(), offset=whole.offset)


def _floats(column: pa.Array) -> Floats:
    """The values; 0 for nulls."""
    filled = column.cast(pa.float64())
    if filled.null_count:
        filled = filled.fill_null(0.0)
    found: Any = filled.to_numpy(zero_copy_only=False)
    return np.asarray(found, dtype=np.float64)


def _with_nulls(made: pa.Array, column: pa.Array) -> pa.Array:
    return pc.if_else(column.is_valid(), made, pa.scalar(None, made.type)) if column.null_count else made


def _out_of_range(value: float, precision: int, scale: int) -> ArithmeticFailure:
    shown = format(Decimal(repr(value)), "f")
    return ArithmeticFailure.of(
        "NUMERIC_VALUE_OUT_OF_RANGE.WITH_SUGGESTION",
        f"{shown} cannot be represented as Decimal({precision}, {scale}). If necessary set "
        '"spark.sql.ansi.enabled" to "false" to bypass this error, and return NULL instead.',
        sql_state="22003",
        value=shown,
        precision=str(precision),
        scale=str(scale),
        config='"spark.sql.ansi.enabled"',
    )
