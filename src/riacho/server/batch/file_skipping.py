"""Which files of a Delta table cannot have the rows that are wanted, by what the log says of them.

A file has one value for each partition column, and for other columns perhaps the least and the greatest value and the
number of nulls. What is not known for sure does not rule a file out: floating-point columns are never looked at (NaN is
in no bound), nor are texts of nested columns. Source: "Per-file Statistics" in Delta's PROTOCOL.md.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import pyarrow as pa

from riacho.server.batch.read_filters import ReadFilter, may_hold
from riacho.server.delta import partitions
from riacho.server.delta.actions import AddFile

_MILLISECOND: Final = timedelta(milliseconds=1)
_CUT: Final = 32
"""Bounds of texts may be cut to so many characters."""


@dataclass(frozen=True)
class _Bounds:
    """What is known of a column in a file: `low` <= every value <= `high`; None: not known."""

    low: Any = None
    high: Any = None
    all_null: bool | None = None
    no_null: bool | None = None


def with_wanted_rows(held: Sequence[AddFile], schema: pa.Schema, filters: Sequence[ReadFilter]) -> list[AddFile]:
    """Those of the files that may have rows that meet all filters. `schema`: the table's."""
    plain = [each for each in filters if len(each.column) == 1 and each.column[0] in schema.names]
    if not plain:
        return list(held)
    return [add for add in held if _may_have(add, schema, plain)]


def _may_have(add: AddFile, schema: pa.Schema, filters: Sequence[ReadFilter]) -> bool:
    texts = {name.lower(): text for name, text in add.partition_values.items()}
    constants: dict[str, pa.Scalar] = {}
    others: list[ReadFilter] = []
    for each in filters:
        name = each.column[0]
        if name.lower() in texts:
            constants[name] = partitions.from_text(texts[name.lower()], schema.field(name).type)
        else:
            others.append(each)
    if not all(may_hold(each, constants) for each in filters):
        return False
    if not others or add.stats is None:
        return True
    try:
        stats = json.loads(add.stats)
        return all(_fits(each, _bounds(stats, each.column[0], schema.field(each.column[0]).type)) for each in others)
    except (ValueError, TypeError, AttributeError, InvalidOperation):
        return True  # statistics of a form that we do not know rule nothing out


def _bounds(stats: Mapping[str, Any], name: str, kind: pa.DataType) -> _Bounds:
    rows = stats.get("numRecords")
    nulls = (stats.get("nullCount") or {}).get(name)
    known = isinstance(nulls, int) and isinstance(rows, int)
    all_null, no_null = (nulls == rows, nulls == 0) if known else (None, None)
    low, high = (stats.get("minValues") or {}).get(name), (stats.get("maxValues") or {}).get(name)
    read = _reader(kind)
    if read is None:
        return _Bounds(None, None, all_null, no_null)
    at_least = None if low is None else read(low)
    at_most = None if high is None else read(high)
    if isinstance(at_most, datetime):
        # Some writers cut, others round up. In the last millisecond of the year 9999 there is no bound.
        try:
            at_most += _MILLISECOND
        except OverflowError:
            at_most = None
    if isinstance(at_most, str) and len(at_most) >= _CUT:
        at_most += chr(0x10FFFF)  # it may be the beginning of a longer text
    return _Bounds(at_least, at_most, all_null, no_null)


def _reader(kind: pa.DataType) -> Callable[[Any], Any] | None:
    """How a bound of that type is read from JSON."""
    if pa.types.is_signed_integer(kind):
        return _integer
    if pa.types.is_decimal(kind):
        return lambda value: Decimal(str(value))
    if pa.types.is_string(kind):
        return _text
    if pa.types.is_date32(kind):
        return date.fromisoformat
    if pa.types.is_timestamp(kind):
        return _zoned if kind.tz is not None else _local
    return None


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(value)
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _zoned(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found


def _local(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=None)


def _fits(made: ReadFilter, bounds: _Bounds) -> bool:
    """Whether a value within the bounds may meet a filter."""
    if made.name == "IsNull":
        return bounds.no_null is not True
    if made.name == "EqualNullSafe" and made.value is None:
        return True
    if bounds.all_null and not made.negated:
        return False
    if made.name == "IsNotNull" or made.negated:
        return True
    low, high = bounds.low, bounds.high
    match made.name:
        case "EqualTo" | "EqualNullSafe":
            return _within(made.value, low, high)
        case "In":
            return any(value is not None and _within(value, low, high) for value in made.value)
        case "GreaterThan":
            return high is None or bool(high > made.value)
        case "GreaterThanOrEqual":
            return high is None or bool(high >= made.value)
        case "LessThan":
            return low is None or bool(low < made.value)
        case "LessThanOrEqual":
            return low is None or bool(low <= made.value)
        case "StringStartsWith":
            start = made.value
            return (high is None or high[: len(start)] >= start) and (low is None or low[: len(start)] <= start)
    return True


def _within(value: Any, low: Any, high: Any) -> bool:
    return (low is None or bool(low <= value)) and (high is None or bool(value <= high))
