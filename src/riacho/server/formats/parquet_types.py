"""Which Parquet column can be read as which Spark type, and how.

The rules are those of Spark's vectorised reader (`ParquetVectorUpdaterFactory`), checked type against type on Spark
4.2: numbers widen, decimals widen in both parts, a 32-bit integer read as a narrower one keeps its low bits, a DATE
may be read as a number of days, timestamps are taken with and without a zone alike. riacho adds one thing: timestamps
in nanoseconds, which Spark refuses, are cut to microseconds.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from riacho.server.formats.nested_columns import Convert, Misfit, nested, unchanged
from riacho.types import normalise


def converter(source: pa.DataType, target: pa.DataType) -> Convert:
    """How to turn an array of a file's type `source` into `target`. Raises Misfit if Spark would not."""
    if source == target:
        return unchanged
    if pa.types.is_dictionary(source):
        inner = converter(source.value_type, target)
        return lambda array: inner(array.dictionary_decode())
    return nested(source, target, converter) or _simple(source, target)


def _simple(source: pa.DataType, target: pa.DataType) -> Convert:
    source = source if pa.types.is_timestamp(source) else normalise_text(source)
    if source == target:
        return _cast(target)
    if pa.types.is_null(source):
        return lambda array: pa.nulls(len(array), target)
    if pa.types.is_timestamp(source):
        return _from_timestamp(target)
    if pa.types.is_date32(source) and target == pa.timestamp("us"):
        return _cast(target)
    if _is_narrow(source):
        return _from_int32(source, target)
    if _widens(source, target):
        if source == pa.int64() and pa.types.is_decimal(target):
            return lambda array: array.cast(pa.decimal128(19, 0)).cast(target)
        return _cast(target)
    raise Misfit


def normalise_text(arrow: pa.DataType) -> pa.DataType:
    """Large and fixed-size text and bytes as the plain kinds; everything else as it is."""
    return normalise(arrow) if not pa.types.is_unsigned_integer(arrow) else arrow


def _is_narrow(arrow: pa.DataType) -> bool:
    """Kept as a 32-bit integer in the file."""
    return arrow in {pa.int8(), pa.int16(), pa.int32(), pa.uint8(), pa.uint16(), pa.date32()}


def _widens(source: pa.DataType, target: pa.DataType) -> bool:
    if pa.types.is_decimal(target):
        digits = target.precision - target.scale
        if pa.types.is_decimal(source):
            return bool(target.scale >= source.scale and digits >= source.precision - source.scale)
        if source == pa.uint64():
            return bool(target == pa.decimal128(20, 0))
        return bool(source == pa.int64() and digits >= 20)
    pairs = {
        (pa.float32(), pa.float64()),
        (pa.uint32(), pa.int64()),
        (pa.string(), pa.binary()),
        (pa.binary(), pa.string()),
    }
    return (source, target) in pairs


def _from_int32(source: pa.DataType, target: pa.DataType) -> Convert:
    if pa.types.is_decimal(target):
        signed = source in {pa.int8(), pa.int16(), pa.int32()}
        if signed and target.precision - target.scale >= 10:
            return lambda array: array.cast(pa.decimal128(10, 0)).cast(target)
        raise Misfit
    if target in {pa.int64(), pa.float64()}:
        return lambda array: array.cast(pa.int32()).cast(target)
    if target in {pa.int8(), pa.int16(), pa.int32()}:
        return lambda array: array.cast(pa.int32()).cast(target, safe=False)
    if target == pa.date32():
        return lambda array: array.cast(pa.int32()).view(pa.date32())
    raise Misfit


def _from_timestamp(target: pa.DataType) -> Convert:
    if pa.types.is_timestamp(target):
        return lambda array: _microseconds(array).view(target)
    if target == pa.int64():
        return lambda array: array.view(pa.int64())
    raise Misfit


def _microseconds(array: pa.TimestampArray) -> pa.Array:
    """Whole microseconds; nanoseconds are cut downwards, also before 1970."""
    if array.type.unit != "ns":
        return array.cast(pa.timestamp("us", array.type.tz))
    nanos = array.view(pa.int64())
    values = np.floor_divide(nanos.fill_null(0).to_numpy(), 1000)
    return pa.array(values, pa.int64(), mask=pc.is_null(nanos).to_numpy(zero_copy_only=False))


def _cast(target: pa.DataType) -> Convert:
    return lambda array: array.cast(target)
