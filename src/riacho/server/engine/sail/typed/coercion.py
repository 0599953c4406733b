"""The common type of two types, and the types of decimal results: Spark's rules in ANSI mode.

`AnsiTypeCoercion.scala`, `DecimalPrecision.scala`. Text yields to the other type: it becomes BIGINT beside integers,
DOUBLE beside fractions and decimals, and the other type beside anything else.
"""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from riacho.types import TIMESTAMP, TIMESTAMP_NTZ

INTEGRALS: tuple[pa.DataType, ...] = (pa.int8(), pa.int16(), pa.int32(), pa.int64())
"""Narrowest first."""
FRACTIONS: tuple[pa.DataType, ...] = (pa.float32(), pa.float64())
_DIGITS = {pa.int8(): 3, pa.int16(): 5, pa.int32(): 10, pa.int64(): 20}
MAX_PRECISION = 38
_LEAST_SCALE = 6
"""The minimum number of digits after the decimal point in a division."""


def is_integral(kind: pa.DataType) -> bool:
    return kind in INTEGRALS


def is_fraction(kind: pa.DataType) -> bool:
    """FLOAT or DOUBLE."""
    return bool(kind in FRACTIONS)


def is_decimal(kind: pa.DataType) -> bool:
    return bool(pa.types.is_decimal(kind))


def is_numeric(kind: pa.DataType) -> bool:
    return is_integral(kind) or is_fraction(kind) or is_decimal(kind)


def is_text(kind: pa.DataType) -> bool:
    return bool(kind == pa.string())


def is_time(kind: pa.DataType) -> bool:
    """DATE, TIMESTAMP or TIMESTAMP_NTZ."""
    return kind in (pa.date32(), TIMESTAMP, TIMESTAMP_NTZ)


def as_decimal(kind: pa.DataType) -> pa.DataType:
    """The decimal that holds all values of an integral type; a decimal itself."""
    return kind if is_decimal(kind) else pa.decimal128(_DIGITS[kind], 0)


def common(first: pa.DataType, second: pa.DataType) -> pa.DataType | None:
    """The type that both are converted to in a comparison, a branch or a list; None if there is none."""
    if first == second:
        return first
    if first == pa.null():
        return second
    if second == pa.null():
        return first
    if is_numeric(first) and is_numeric(second):
        return _common_number(first, second)
    if is_text(first) or is_text(second):
        return _beside_text(second if is_text(first) else first)
    if is_time(first) and is_time(second):
        return TIMESTAMP if TIMESTAMP in (first, second) else TIMESTAMP_NTZ
    if pa.types.is_list(first) and pa.types.is_list(second):
        element = common(first.value_type, second.value_type)
        return None if element is None else pa.list_(pa.field("element", element))
    return None


def common_of(kinds: Iterable[pa.DataType]) -> pa.DataType | None:
    """The common type of all; text comes last, because it yields. None if there is none, or no types are given."""
    found: pa.DataType | None = None
    for kind in sorted(kinds, key=is_text):
        found = kind if found is None else common(found, kind)
        if found is None:
            return None
    return found


def _beside_text(kind: pa.DataType) -> pa.DataType | None:
    if is_integral(kind):
        return pa.int64()
    if is_fraction(kind) or is_decimal(kind):
        return pa.float64()
    return None if pa.types.is_nested(kind) or pa.types.is_duration(kind) else kind


def _common_number(first: pa.DataType, second: pa.DataType) -> pa.DataType:
    if is_integral(first) and is_integral(second):
        return max(first, second, key=INTEGRALS.index)
    if is_fraction(first) or is_fraction(second):
        return pa.float64()  # also for FLOAT and an integer, which FLOAT could not hold exactly
    first, second = as_decimal(first), as_decimal(second)
    scale = max(first.scale, second.scale)
    return bounded(max(first.precision - first.scale, second.precision - second.scale) + scale, scale)


def bounded(precision: int, scale: int) -> pa.DataType:
    """The decimal of that size, limited to the largest possible."""
    return pa.decimal128(min(precision, MAX_PRECISION), min(scale, MAX_PRECISION))


def adjusted(precision: int, scale: int) -> pa.DataType:
    """The decimal of that size; one that is too large gives up digits after the point first."""
    if precision <= MAX_PRECISION:
        return pa.decimal128(precision, scale)
    kept = max(MAX_PRECISION - (precision - scale), min(scale, _LEAST_SCALE))
    return pa.decimal128(MAX_PRECISION, kept)


def decimal_result(operator: str, first: pa.DataType, second: pa.DataType) -> pa.DataType:
    """The type of `first operator second`, both decimals; operators are + - * / %."""
    p1, s1, p2, s2 = first.precision, first.scale, second.precision, second.scale
    match operator:
        case "*":
            return adjusted(p1 + p2 + 1, s1 + s2)
        case "/":
            scale = max(_LEAST_SCALE, s1 + p2 + 1)
            return adjusted(p1 - s1 + s2 + scale, scale)
        case "%":
            scale = max(s1, s2)
            return adjusted(min(p1 - s1, p2 - s2) + scale, scale)
        case _:
            scale = max(s1, s2)
            return adjusted(max(p1 - s1, p2 - s2) + scale + 1, scale)
