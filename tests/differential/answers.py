"""Rows of either side in one comparable form. Used in both environments, so it imports nothing of either."""

from __future__ import annotations

import math
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import zip_longest
from typing import Any


def comparable(value: Any) -> Any:
    """A value that JSON can carry: floats to ten digits, times as text, lists without regard to order."""
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else float(f"{value + 0.0:.10g}")
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat()
    if isinstance(value, date | Decimal | bytes | timedelta):
        return str(value)
    if isinstance(value, dict):
        return {key: comparable(item) for key, item in value.items()}
    if isinstance(value, list):
        return sorted((comparable(item) for item in value), key=repr)
    return value


def table_rows(table: Any) -> list[list[Any]]:
    """The rows of an Arrow table, in an order of their own."""
    columns = [[comparable(value) for value in column.to_pylist()] for column in table.columns]
    return sorted((list(row) for row in zip(*columns, strict=True)), key=repr)


def operator_numbers(operators: list[dict[str, Any]]) -> list[list[Any]]:
    """What progress says of each stateful operator, as far as it does not depend on the machine."""
    names = ("operatorName", "numRowsTotal", "numRowsUpdated", "numRowsRemoved", "numRowsDroppedByWatermark")
    return [[operator[name] for name in names] for operator in operators]


def differences(found: dict[str, Any], expected: dict[str, Any]) -> str:
    """What two answers to a case do not share: errors, or the first batch in which they part."""
    if "batches" not in found or "batches" not in expected:
        return f"riacho: {found}\nspark:  {expected}"
    for number, (one, other) in enumerate(zip_longest(found["batches"], expected["batches"])):
        if one is None or other is None:
            return f"batch {number}\n  riacho: {one or 'none'}\n  spark:  {other or 'none'}"
        parts = [name for name in other if one[name] != other[name]]
        if parts:
            lines = [f"  {name}\n    riacho: {one[name]}\n    spark:  {other[name]}" for name in parts]
            return "\n".join([f"batch {number}", *lines])
    return ""


def build(query: str, streams: list[Any], functions: Any) -> Any:
    """The DataFrame that the text of a query means: `a` and `b` are the streams, `F` the functions."""
    names = {"F": functions, "a": streams[0], "b": streams[-1]}
    return eval(query, {"__builtins__": {}}, names)
