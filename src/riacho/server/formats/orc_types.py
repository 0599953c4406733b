"""Which ORC column can be read as which Spark type, and how.

The rules are those of ORC's own schema evolution (`ConvertTreeReaderFactory`), checked type against type on Spark 4.2:
numbers convert to other numbers, and what does not fit is NULL. Conversions from text, and from fractions to text, are
left out: riacho refuses what it cannot do as Spark does.
"""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from riacho.server.formats.nested_columns import Convert, Misfit, nested, unchanged
from riacho.types import TIMESTAMP, TIMESTAMP_NTZ, normalise

KIND = b"spark.sql.catalyst.type"
"""The attribute by which Spark tells types that ORC does not have."""


def spark_type(arrow: pa.DataType, attributes: dict[bytes, bytes] | None = None) -> pa.DataType:
    """The Spark type of a column. Spark keeps a TIMESTAMP_NTZ as a number; ORC's timestamps are TIMESTAMP."""
    if (attributes or {}).get(KIND) == b"timestamp_ntz" and arrow == pa.int64():
        return TIMESTAMP_NTZ
    if pa.types.is_timestamp(arrow):
        return TIMESTAMP
    if pa.types.is_struct(arrow):
        return pa.struct([pa.field(f.name, spark_type(f.type, f.metadata)) for f in arrow])
    if pa.types.is_map(arrow):
        items = arrow.item_field
        return pa.map_(spark_type(arrow.key_type), pa.field("value", spark_type(items.type, items.metadata)))
    if pa.types.is_list(arrow):
        element = arrow.value_field
        return pa.list_(pa.field("element", spark_type(element.type, element.metadata)))
    return normalise(arrow)


def converter(source: pa.DataType, target: pa.DataType) -> Convert:
    """How to turn an array of a file's type `source` into `target`. Raises Misfit if riacho would not."""
    if source == target:
        return unchanged
    return nested(source, target, converter) or _simple(source, target)


def _simple(source: pa.DataType, target: pa.DataType) -> Convert:
    if pa.types.is_timestamp(source):
        return _from_timestamp(target)
    if pa.types.is_date32(source):
        return _from_date(target)
    if pa.types.is_integer(source) or pa.types.is_boolean(source):
        return _from_whole(source, target)
    if pa.types.is_floating(source):
        return _from_floating(target)
    if pa.types.is_decimal(source):
        return _from_decimal(target)
    if pa.types.is_string(source) and pa.types.is_binary(target):
        return lambda array: array.cast(target)
    raise Misfit


def _from_timestamp(target: pa.DataType) -> Convert:
    if target == TIMESTAMP:
        return lambda array: _micros(array).view(TIMESTAMP)
    if pa.types.is_date32(target):
        return lambda array: _micros(array).view(TIMESTAMP_NTZ).cast(target, safe=False)
    raise Misfit


def _micros(array: pa.TimestampArray) -> pa.Int64Array:
    """Whole microseconds; nanoseconds are cut downwards, also before 1970."""
    nanos = array.view(pa.int64())
    values = np.floor_divide(nanos.fill_null(0).to_numpy(), 1000)
    return pa.array(values, pa.int64(), mask=pc.is_null(nanos).to_numpy(zero_copy_only=False))


def _from_date(target: pa.DataType) -> Convert:
    if target == TIMESTAMP:
        return lambda array: array.cast(TIMESTAMP_NTZ).view(TIMESTAMP)
    if pa.types.is_string(target):
        return lambda array: array.cast(target)
    raise Misfit


def _from_whole(source: pa.DataType, target: pa.DataType) -> Convert:
    """From a number without a fraction, or a BOOLEAN, which counts as 1 or 0."""
    if pa.types.is_boolean(source) and pa.types.is_string(target):
        return lambda array: pc.if_else(array, "TRUE", "FALSE")
    if pa.types.is_boolean(target):
        return lambda array: pc.not_equal(array, 0)
    if target == TIMESTAMP_NTZ:
        return lambda array: _whole(array).view(target)
    if target == TIMESTAMP:
        return lambda array: pc.multiply_checked(_whole(array), 1_000_000).view(target)
    if pa.types.is_integer(target):
        return lambda array: _narrowed(_whole(array), target)
    if pa.types.is_floating(target):
        return lambda array: _whole(array).cast(target, safe=False)
    if pa.types.is_decimal(target):
        return lambda array: fitting(_whole(array).cast(pa.decimal128(19, 0)), target)
    if pa.types.is_string(target):
        return lambda array: array.cast(target)
    raise Misfit


def _whole(array: pa.Array) -> pa.Int64Array:
    return array.cast(pa.int64())


def _narrowed(array: pa.Int64Array, target: pa.DataType) -> pa.Array:
    """Numbers as a smaller type, NULL where they do not fit."""
    bound = 1 << (target.bit_width - 1)
    fits = pc.and_(pc.greater_equal(array, -bound), pc.less_equal(array, bound - 1))
    return pc.if_else(fits, array, None).cast(target)


def _from_floating(target: pa.DataType) -> Convert:
    if pa.types.is_floating(target):
        return lambda array: array.cast(target, safe=False)
    if pa.types.is_integer(target):
        return lambda array: _narrowed(_truncated(array), target)
    if pa.types.is_boolean(target):
        return lambda array: pc.not_equal(_truncated(array), 0)
    raise Misfit


def _truncated(array: pa.Array) -> pa.Int64Array:
    """The whole part of each number, NULL where it is not one of 64 bits."""
    double = array.cast(pa.float64())
    fits = pc.and_(pc.greater_equal(double, -(2.0**63)), pc.less(double, 2.0**63))
    return pc.trunc(pc.if_else(fits, double, None)).cast(pa.int64())


def _from_decimal(target: pa.DataType) -> Convert:
    if pa.types.is_decimal(target):
        return lambda array: fitting(array, target)
    if pa.types.is_integer(target):
        return lambda array: _narrowed(_whole_part(array), target)
    if pa.types.is_floating(target):
        return lambda array: array.cast(pa.float64()).cast(target, safe=False)
    raise Misfit


def _whole_part(array: pa.Array) -> pa.Int64Array:
    """The whole part of each number, NULL where it is not one of 64 bits."""
    whole = pc.trunc(array.cast(pa.decimal256(76, array.type.scale)))
    low, high = (pa.scalar(Decimal(bound), whole.type) for bound in (-(1 << 63), (1 << 63) - 1))
    fits = pc.and_(pc.greater_equal(whole, low), pc.less_equal(whole, high))
    return pc.if_else(fits, whole, None).cast(pa.decimal256(76, 0)).cast(pa.int64())


def fitting(array: pa.Array, target: pa.Decimal128Type) -> pa.Array:
    """Decimals rounded half up to the target's scale, NULL where they have too many digits."""
    wide = array.cast(pa.decimal256(76, max(array.type.scale, target.scale)))
    rounded = pc.round(wide, target.scale, "half_towards_infinity").cast(pa.decimal256(76, target.scale))
    limit = pa.scalar(Decimal(10 ** (target.precision - target.scale)), rounded.type)
    fits = pc.less(pc.abs(rounded), limit)
    return pc.if_else(fits, rounded, None).cast(target)
