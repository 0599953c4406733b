"""Values of a database as Spark has them: decimals, times that are infinite, arrays. Column by column, in Arrow.

Sources: `JdbcUtils.makeGetter`, `PostgresDialect.convertJavaTimestampToTimestamp`.
"""

from __future__ import annotations

import json
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import types as spark

from riacho.errors import ArithmeticFailure, SparkGeneralError, SqlFeatureError

_SHIFT_US: Final = 946_684_800_000_000
"""Between PostgreSQL's beginning of time, the year 2000, and 1970."""
_SHIFT_DAYS: Final = 10_957
_ENDLESS_US: Final = (-(2**63) + _SHIFT_US - 1, -(2**63) + _SHIFT_US)
"""What the driver makes of `infinity` and `-infinity`, for it lets their sum with the shift run over."""
_ENDLESS_DAYS: Final = (-(2**31) + _SHIFT_DAYS - 1, -(2**31) + _SHIFT_DAYS)
_SPARKS_US: Final = (253_402_300_799_999_000, -62_135_424_000_000_000)
"""9999-12-31 23:59:59.999 and 0001-01-03 00:00:00: what Spark makes of them."""
_SPARKS_DAYS: Final = (2_932_896, -719_160)
_FIRST_US: Final = -9_000_000_000_000_000_000
"""No time of PostgreSQL lies before; what does has run over."""
_MOST_DIGITS: Final = 38
"""Arrow reads longer numbers into 128 bits without noticing that they do not fit."""
_EXACT: Final = Context(prec=2000)


def converted(column: pa.Array, base: str, arrow: pa.DataType) -> pa.Array:
    """A column, as it came, in the type that Spark has for it. `base`: the name of its type in the database."""
    if pa.types.is_decimal(arrow) and not pa.types.is_integer(column.type):
        return decimals(column, arrow)
    if pa.types.is_timestamp(arrow):
        if base in ("time", "timetz"):
            return _clocks(column).cast(arrow)
        return _finite(column, pa.int64(), _ENDLESS_US, _SPARKS_US).cast(pa.timestamp("us")).cast(arrow)
    if pa.types.is_date(arrow):
        return _finite(column, pa.int32(), _ENDLESS_DAYS, _SPARKS_DAYS).cast(arrow)
    if pa.types.is_null(arrow):
        return pa.nulls(len(column))
    return column if column.type == arrow else column.cast(arrow)


def decimals(column: pa.Array, arrow: pa.DataType) -> pa.Array:
    """Texts of numbers as decimals, rounded half up. Raises NUMERIC_VALUE_OUT_OF_RANGE, and for what is no number."""
    longest = pc.max(pc.binary_length(column)).as_py() or 0
    try:
        if longest + arrow.scale <= _MOST_DIGITS:
            return column.cast(arrow)
        return column.cast(pa.decimal256(76, arrow.scale)).cast(arrow)
    except pa.ArrowInvalid:
        return pa.array([_decimal(text, arrow) for text in column.to_pylist()], arrow)


def _decimal(text: str | None, arrow: pa.DataType) -> Decimal | None:
    if text is None:
        return None
    try:
        given = Decimal(text)
    except InvalidOperation:
        raise SparkGeneralError(f"Job aborted due to stage failure: Bad value for type BigDecimal : {text}") from None
    if not given.is_finite():
        raise SparkGeneralError(f"Job aborted due to stage failure: Bad value for type BigDecimal : {text}")
    rounded = given.quantize(Decimal(1).scaleb(-arrow.scale), ROUND_HALF_UP, _EXACT)
    if len(rounded.as_tuple().digits) > arrow.precision and rounded != 0:
        raise ArithmeticFailure.of(
            "NUMERIC_VALUE_OUT_OF_RANGE.WITHOUT_SUGGESTION",
            f" The {rounded:f} rounded half up from {given:f} cannot be represented as "
            f"Decimal({arrow.precision}, {arrow.scale}).",
            sql_state="22003",
            roundedValue=f"{rounded:f}",
            originalValue=f"{given:f}",
            precision=str(arrow.precision),
            scale=str(arrow.scale),
        )
    return rounded


def _clocks(column: pa.Array) -> pa.Array:
    """Times of day as moments of 1970-01-01, in whole milliseconds as Java has them."""
    micros = column.cast(pa.int64()) if not pa.types.is_string(column.type) else column
    return pc.multiply(pc.divide(_floored(micros), 1000), 1000).cast(pa.timestamp("us"))


def _floored(micros: pa.Array) -> pa.Array:
    """Micros less what is above whole milliseconds, also before 1970."""
    below = pc.and_(
        pc.less(micros, 0), pc.not_equal(pc.subtract(micros, pc.multiply(pc.divide(micros, 1000), 1000)), 0)
    )
    return pc.if_else(below, pc.subtract(micros, 1000), micros)


def _finite(column: pa.Array, number: pa.DataType, found: tuple[int, int], wanted: tuple[int, int]) -> pa.Array:
    """Days or microseconds, the infinite ones as Spark has them. Raises ArithmeticFailure for what has run over."""
    if pa.types.is_string(column.type):
        return column
    counts = column.cast(number)
    least = pc.min(counts).as_py()
    limit = max(found) if number == pa.int32() else _FIRST_US
    if least is None or least > limit:
        return column
    for before, after in zip(found, wanted, strict=True):
        counts = pc.if_else(pc.equal(counts, before), pa.scalar(after, number), counts)
    if pc.min(counts).as_py() <= limit:
        raise SparkGeneralError("Job aborted due to stage failure: java.lang.ArithmeticException: long overflow")
    return counts.cast(column.type) if number == pa.int32() else counts


def leaf(kind: spark.DataType) -> spark.DataType:
    """The type of an array's elements, however many dimensions it has."""
    while isinstance(kind, spark.ArrayType):
        kind = kind.elementType
    return kind


def check_dimensions(ndims: pa.Array, dimensions: int, kind: spark.DataType, position: int) -> None:
    """Raises COLUMN_ARRAY_ELEMENT_TYPE_MISMATCH for arrays of other dimensions than the column's type says."""
    most, least = pc.max(ndims).as_py(), pc.min(ndims).as_py()
    if most is not None and (most != dimensions or least != dimensions):
        raise array_mismatch(position, kind)


def array_mismatch(position: int, kind: spark.DataType) -> SqlFeatureError:
    expected = f'"{kind.simpleString().upper()}"'
    return SqlFeatureError.of(
        "COLUMN_ARRAY_ELEMENT_TYPE_MISMATCH",
        f"Some values in field {position} are incompatible with the column array type. Expected type {expected}.",
        sql_state="0A000",
        pos=str(position),
        type=expected,
    )


def listed(column: pa.Array, base: str, arrow: pa.DataType) -> pa.Array:
    """An array of one dimension."""
    flat = column.values
    if base == "bit" and pa.types.is_boolean(arrow.value_type):
        made = pc.equal(flat, "1")
    else:
        made = converted(flat, base, arrow.value_type)
    nulls = column.is_null() if column.null_count else None
    return pa.ListArray.from_arrays(column.offsets, made, type=arrow, mask=nulls)


def nested(column: pa.Array, arrow: pa.DataType) -> pa.Array:
    """Arrays of several dimensions, from JSON whose innermost values are texts."""
    return pa.array([None if text is None else _nested(json.loads(text), arrow) for text in column.to_pylist()], arrow)


def _nested(value: Any, arrow: pa.DataType) -> Any:
    if value is None:
        return None
    if pa.types.is_list(arrow):
        return [_nested(each, arrow.value_type) for each in value]
    if pa.types.is_boolean(arrow):
        return value in ("t", "true", "1")
    if pa.types.is_binary(arrow):
        return bytes.fromhex(value[2:]) if value.startswith("\\x") else value.encode()
    if pa.types.is_decimal(arrow):
        return _decimal(value, arrow)
    if pa.types.is_floating(arrow):
        return float(value)
    return value if pa.types.is_string(arrow) else pa.scalar(value).cast(arrow).as_py()
