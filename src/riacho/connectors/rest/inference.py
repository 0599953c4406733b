"""The columns of records whose schema nobody gave, as Spark infers them from JSON: sorted by name, texts stay texts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pyspark.sql.types import (
    ArrayType,
    BooleanType,
    DataType,
    DecimalType,
    DoubleType,
    LongType,
    NullType,
    StringType,
    StructField,
    StructType,
)

_LONG = 1 << 63


def schema_of(records: Iterable[Any]) -> StructType:
    """The columns that take all of these records; a record that is no object is one column, `value`."""
    merged: DataType = StructType()
    for record in records:
        merged = _merged(merged, _type_of(record if isinstance(record, dict) else {"value": record}))
    whole = _settled(merged)
    assert isinstance(whole, StructType)
    return whole


def _type_of(value: Any) -> DataType:
    if value is None:
        return NullType()
    if isinstance(value, bool):
        return BooleanType()
    if isinstance(value, int):
        if -_LONG <= value < _LONG:
            return LongType()
        digits = len(str(abs(value)))
        return DecimalType(digits, 0) if digits <= 38 else DoubleType()
    if isinstance(value, float):
        return DoubleType()
    if isinstance(value, list):
        inner: DataType = NullType()
        for item in value:
            inner = _merged(inner, _type_of(item))
        return ArrayType(inner)
    if isinstance(value, dict):
        return StructType([StructField(name, _type_of(value[name])) for name in sorted(value)])
    return StringType()


def _merged(one: DataType, other: DataType) -> DataType:
    if one == other or isinstance(other, NullType):
        return one
    if isinstance(one, NullType):
        return other
    if isinstance(one, StructType) and isinstance(other, StructType):
        fields = {field.name: field.dataType for field in one}
        for field in other:
            fields[field.name] = _merged(fields.get(field.name, NullType()), field.dataType)
        return StructType([StructField(name, fields[name]) for name in sorted(fields)])
    if isinstance(one, ArrayType) and isinstance(other, ArrayType):
        return ArrayType(_merged(one.elementType, other.elementType))
    numbers = (LongType, DoubleType, DecimalType)
    if isinstance(one, numbers) and isinstance(other, numbers):
        if isinstance(one, DoubleType) or isinstance(other, DoubleType):
            return DoubleType()
        widths = [kind.precision if isinstance(kind, DecimalType) else 20 for kind in (one, other)]
        return DecimalType(max(widths), 0)
    return StringType()


def _settled(kind: DataType) -> DataType:
    """What was always null is a text."""
    if isinstance(kind, NullType):
        return StringType()
    if isinstance(kind, ArrayType):
        return ArrayType(_settled(kind.elementType))
    if isinstance(kind, StructType):
        return StructType([StructField(field.name, _settled(field.dataType)) for field in kind])
    return kind
