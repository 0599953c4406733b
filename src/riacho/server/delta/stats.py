"""Statistics of a data file for the log, from the footer of the Parquet file: readers skip files by them.

Each bound must hold for every reader, or it is left out. So floating-point columns get no maximum: Parquet's ignores
NaN, which Spark takes for the greatest number. Source: "Per-file Statistics" in Delta's PROTOCOL.md.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

INDEXED_COLUMNS = 32
"""Statistics are kept for that many leading leaf columns (`delta.dataSkippingNumIndexedCols`)."""

_PREFIX = 32
_LAST_CHARACTER = chr(0x10FFFF)
_EXACT_DIGITS = 15
"""A decimal of so many digits comes through JSON's numbers unchanged."""


@dataclass(frozen=True)
class FileStats:
    """What the footer says. `null_counts`: by top-level leaf column."""

    rows: int
    null_counts: dict[str, int]
    text: str


def read_stats(file: Path, indexed: int = INDEXED_COLUMNS) -> FileStats:
    """The statistics of a data file. Only its footer is read. Raises OSError, pyarrow.ArrowInvalid."""
    footer = pq.read_metadata(file)
    schema = footer.schema.to_arrow_schema()
    lows: dict[str, Any] = {}
    highs: dict[str, Any] = {}
    nulls: dict[str, Any] = {}
    flat: dict[str, int] = {}
    for column, path in _leaves(footer, indexed):
        count, low, high = _bounds(footer, column)
        if count is None:
            continue
        _put(nulls, path, count)
        if len(path) == 1:
            flat[path[0]] = count
        arrow = _type_at(schema, path)
        _put(lows, path, None if low is None else _low(low, arrow))
        _put(highs, path, None if high is None else _high(high, arrow))
    rows = footer.num_rows
    body = {"numRecords": rows, "minValues": lows, "maxValues": highs, "nullCount": nulls}
    return FileStats(rows, flat, json.dumps(body, separators=(",", ":"), ensure_ascii=False))


def _leaves(footer: pq.FileMetaData, indexed: int) -> Iterator[tuple[int, tuple[str, ...]]]:
    """The leading leaf columns that are not below a list or a map, with their paths."""
    for column in range(min(indexed, footer.num_columns)):
        leaf = footer.schema.column(column)
        if leaf.max_repetition_level == 0:
            # A dot in a name cannot be told from a level of nesting here; only then are the two unequal.
            path = (leaf.name,) if leaf.path == leaf.name else tuple(leaf.path.split("."))
            yield column, path


def _bounds(footer: pq.FileMetaData, column: int) -> tuple[int | None, Any, Any]:
    """Null count, minimum and maximum over all row groups, each None if any row group does not tell."""
    nulls, low, high = 0, None, None
    complete = True
    for group in range(footer.num_row_groups):
        chunk = footer.row_group(group).column(column)
        found = chunk.statistics
        if found is None or not found.has_null_count:
            return None, None, None
        nulls += found.null_count
        if found.has_min_max:
            try:
                group_low, group_high = found.min, found.max
            except (ValueError, OverflowError):
                # A date or time beyond what Python has, or text cut in the middle of a character.
                complete = False
                continue
            low = group_low if low is None else min(low, group_low)
            high = group_high if high is None else max(high, group_high)
        elif found.null_count < chunk.num_values:
            complete = False
    return (nulls, low, high) if complete else (nulls, None, None)


def _type_at(schema: pa.Schema, path: tuple[str, ...]) -> pa.DataType:
    arrow = schema.field(path[0]).type
    for name in path[1:]:
        arrow = arrow.field(name).type
    return arrow


def _low(value: Any, arrow: pa.DataType) -> Any:
    if isinstance(value, str):
        return value[:_PREFIX]
    if isinstance(value, datetime):
        return _stamp(value, arrow)
    return _plain(value)


def _high(value: Any, arrow: pa.DataType) -> Any:
    if isinstance(value, str):
        return value if len(value) <= _PREFIX else value[:_PREFIX] + _LAST_CHARACTER
    if isinstance(value, float):
        return None
    if isinstance(value, datetime):
        # Milliseconds are all that the log keeps: round up, so that the bound still holds.
        try:
            return _stamp(value + timedelta(microseconds=-value.microsecond % 1000), arrow)
        except OverflowError:
            return None  # 9999-12-31 23:59:59.999999: what comes after it has no place here
    return _plain(value)


def _plain(value: Any) -> Any:
    """JSON for the types whose bounds are exact; None for those that Delta keeps no bounds for."""
    if isinstance(value, bool | bytes):
        return None
    if isinstance(value, Decimal):
        return float(value) if len(value.as_tuple().digits) <= _EXACT_DIGITS else None
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return None  # JSON has neither NaN nor infinities
    return value if isinstance(value, int | float) else None


def _stamp(value: datetime, arrow: pa.DataType) -> str:
    text = value.replace(tzinfo=None).isoformat(timespec="milliseconds")
    return text + "Z" if arrow.tz is not None else text


def _put(target: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    if value is None:
        return
    for name in path[:-1]:
        target = target.setdefault(name, {})
    target[path[-1]] = value
