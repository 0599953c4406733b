"""Filters as conditions for the server: what it leaves out cannot pass the filter. All are applied again afterwards.

MongoDB compares values of one kind only, while a column holds what values of many kinds were converted to: a text
column has ObjectIds, numbers and documents as text. So beside what matches, a condition lets through what is of another
kind than the column; an index on the field serves both. Conditions that could not be exact are not made. Source of the
kinds: `convert`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from bson import Int64, ObjectId
from bson.datetime_ms import DatetimeMS
from pyspark.sql import types as t
from pyspark.sql.datasource import (
    EqualNullSafe,
    EqualTo,
    Filter,
    GreaterThan,
    GreaterThanOrEqual,
    In,
    IsNotNull,
    IsNull,
    LessThan,
    LessThanOrEqual,
    StringStartsWith,
)

Condition = dict[str, Any]

_EVERY_KIND: Final = (
    "double", "string", "object", "array", "binData", "undefined", "objectId", "bool", "date", "regex", "dbPointer",
    "javascript", "symbol", "javascriptWithScope", "int", "timestamp", "long", "decimal", "minKey", "maxKey",
)  # fmt: skip
_EXACT: Final[dict[type[t.DataType], frozenset[str]]] = {
    t.StringType: frozenset({"string"}),
    t.IntegerType: frozenset({"int"}),
    t.LongType: frozenset({"int", "long"}),
    t.DoubleType: frozenset({"int", "double"}),
    t.BooleanType: frozenset({"bool"}),
    t.TimestampType: frozenset({"date"}),
}
"""The kinds that a column takes as they are, so that the server compares them as Spark does."""
_ORDERED: Final = (t.IntegerType, t.LongType, t.DoubleType, t.TimestampType)
"""Of these, greater and less mean the same on the server. Of text they depend on the collection's collation."""
_RANGES: Final[dict[type[Filter], str]] = {
    GreaterThan: "$gt",
    GreaterThanOrEqual: "$gte",
    LessThan: "$lt",
    LessThanOrEqual: "$lte",
}
_US: Final = 1000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def match(one: Filter, schema: t.StructType) -> Condition | None:
    """The condition that everything fulfils that can pass the filter; None if there is none worth having."""
    path = getattr(one, "attribute", None)
    kind = None if path is None else _kind(path, schema)
    if path is None or kind is None:
        return None
    name = ".".join(path)
    if isinstance(one, IsNull):
        return {name: None}
    if isinstance(one, IsNotNull):
        return {"$or": [{name: {"$ne": None}}, {name: {"$type": "array"}}]}
    exact = _EXACT.get(type(kind))
    if exact is None:
        return None
    if isinstance(one, EqualTo) or (isinstance(one, EqualNullSafe) and one.value is not None):
        return _equal(name, kind, exact, [one.value])
    if isinstance(one, In):
        return _equal(name, kind, exact, [value for value in one.value if value is not None])
    if isinstance(one, StringStartsWith):
        return _starts(name, kind, exact, one.value)
    sign = _RANGES.get(type(one))
    if sign is None or not isinstance(kind, _ORDERED):
        return None
    bound = _bound(getattr(one, "value", None), kind, sign)
    if bound is None:
        return None
    condition = _or_other(name, exact, {sign: bound})
    if isinstance(kind, t.DoubleType) and sign in ("$gt", "$gte"):
        condition["$or"].append({name: math.nan})  # the greatest for Spark, the least for MongoDB
    return condition


def _kind(path: Sequence[str], schema: t.StructType) -> t.DataType | None:
    """The type of a column or of a field in it; None where the path is not one that the server would understand."""
    kind: t.DataType = schema
    for name in path:
        if not name or "." in name or name.startswith("$") or not isinstance(kind, t.StructType):
            return None
        if name not in kind.names:
            return None
        kind = kind[name].dataType
    return kind


def _or_other(name: str, exact: frozenset[str], condition: Any) -> Condition:
    others = [kind for kind in _EVERY_KIND if kind not in exact]
    return {"$or": [{name: condition}, {name: {"$type": others}}]}


def _equal(name: str, kind: t.DataType, exact: frozenset[str], values: Sequence[Any]) -> Condition | None:
    found: list[Any] = []
    for value in values:
        one = _value(value, kind)
        if one is None:
            return None
        found.append(one)
        if isinstance(one, str) and ObjectId.is_valid(one):
            found.append(ObjectId(one))
    if isinstance(kind, t.StringType):
        exact = exact | {"objectId"}
    return _or_other(name, exact, {"$in": found})


def _starts(name: str, kind: t.DataType, exact: frozenset[str], start: Any) -> Condition | None:
    if not isinstance(kind, t.StringType) or not isinstance(start, str):
        return None
    literal = "".join(char if char.isalnum() or ord(char) > 127 else f"\\{char}" for char in start)
    return None if any(ord(char) < 32 for char in start) else _or_other(name, exact, {"$regex": f"^{literal}"})


def _value(value: Any, kind: t.DataType) -> Any:
    """A literal as the kind of value that a column takes as it is; None where there is none."""
    if isinstance(kind, t.StringType):
        return value if isinstance(value, str) else None
    if isinstance(kind, t.BooleanType):
        return value if isinstance(value, bool) else None
    if isinstance(value, bool):
        return None
    if isinstance(kind, t.DoubleType):
        return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
    if isinstance(kind, t.IntegerType | t.LongType):
        return Int64(value) if isinstance(value, int) else None
    us = _us(value)
    return DatetimeMS(us // _US) if us is not None and us % _US == 0 else None


def _bound(value: Any, kind: t.DataType, sign: str) -> Any:
    """A literal to compare with; a moment between two milliseconds becomes the next that means the same."""
    if isinstance(kind, t.TimestampType):
        us = _us(value)
        if us is None:
            return None
        down = sign in ("$gt", "$lte")
        return DatetimeMS(us // _US if down else -(-us // _US))
    return _value(value, kind)


def _us(value: Any) -> int | None:
    """A moment in microseconds; None for what is none, such as one without a zone."""
    if not isinstance(value, datetime) or value.tzinfo is None:
        return None
    since = value - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
