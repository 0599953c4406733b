"""Columns of text to dates and timestamps, vectorised, where Arrow and Spark cannot disagree.

Arrow's casts take ISO 8601 and nothing else; of that, Spark refuses zones beyond ±18:00 and zones behind a time without
seconds. So a column either converts exactly as in Spark or is UNSAFE, and its rows go to the exact converter.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from riacho.server.formats.datetimes import Datetimes
from riacho.server.formats.fixed_patterns import fixed_pattern
from riacho.server.formats.patterns import Pattern
from riacho.types import TIMESTAMP, TIMESTAMP_NTZ

UNSAFE: Final[Any] = object()
"""What a cast gives instead of a column when some value may mean something else to Spark."""

_ZONED: Final = r"\d\d:\d\d:\d\d(?:\.\d*)?(?:Z|[+-](?:0\d|1[0-7])(?::?\d\d)?|[+-]18(?::?00)?)$"
_SHORTEST_ZONED: Final = len("2024-01-02T03:04:05Z")


def text_schema(schema: pa.Schema) -> pa.Schema:
    """`schema` with text in place of dates and timestamps, at any depth: what a parser is to give `cast_text`."""
    return pa.schema([field.with_type(_text_type(field.type)) for field in schema])


def _text_type(arrow: pa.DataType) -> pa.DataType:
    if pa.types.is_date32(arrow) or pa.types.is_timestamp(arrow):
        return pa.string()
    if pa.types.is_struct(arrow):
        return pa.struct([field.with_type(_text_type(field.type)) for field in arrow])
    if pa.types.is_list(arrow):
        return pa.list_(arrow.value_field.with_type(_text_type(arrow.value_type)))
    return arrow


def castable(arrow: pa.DataType, datetimes: Datetimes) -> bool:
    """Whether text can be cast to this date or time type at all, with the reader's patterns and zone."""
    pattern = _pattern(arrow, datetimes)
    fixed = None if pattern is None else fixed_pattern(pattern.text)
    if pattern is not None and (fixed is None or (fixed.has_time and pa.types.is_date32(arrow))):
        return False
    return bool(pa.types.is_date32(arrow) or arrow.tz is None or datetimes.zone == "UTC")


def _pattern(arrow: pa.DataType, datetimes: Datetimes) -> Pattern | None:
    if pa.types.is_date32(arrow):
        return datetimes.date_pattern
    return datetimes.local_pattern if arrow.tz is None else datetimes.timestamp_pattern


def cast_text(column: pa.ChunkedArray, arrow: pa.DataType, datetimes: Datetimes) -> pa.ChunkedArray:
    """A column of `_text_type(arrow)` as `arrow`, or UNSAFE. Dates and times in it must be `castable`."""
    chunks = [_cast(chunk, arrow, datetimes) for chunk in column.chunks]
    return UNSAFE if any(chunk is UNSAFE for chunk in chunks) else pa.chunked_array(chunks, arrow)


def _cast(array: pa.Array, arrow: pa.DataType, datetimes: Datetimes) -> pa.Array:
    if pa.types.is_struct(arrow):
        return _cast_struct(array, arrow, datetimes)
    if pa.types.is_list(arrow):
        return _cast_list(array, arrow, datetimes)
    if pa.types.is_floating(arrow):
        return UNSAFE if _has_negative_zero(array) else array
    if pa.types.is_decimal(arrow):
        return array if _fits(array) else UNSAFE
    if pa.types.is_date32(arrow) or pa.types.is_timestamp(arrow):
        return _cast_moments(array, arrow, _pattern(arrow, datetimes))
    return array


def _cast_moments(array: pa.StringArray, arrow: pa.DataType, pattern: Pattern | None) -> pa.Array:
    """Text to DATE, TIMESTAMP or TIMESTAMP_NTZ."""
    if pattern is not None:
        fixed = fixed_pattern(pattern.text)
        iso = None if fixed is None else fixed.to_iso(array)
        if iso is None:
            return UNSAFE
        # A pattern without a zone gives local times, and the zone is UTC.
        found = _try_cast(iso, pa.date32() if pa.types.is_date32(arrow) else TIMESTAMP_NTZ)
        return found if found is UNSAFE else found.view(arrow)
    if pa.types.is_timestamp(arrow) and arrow.tz is not None:
        return cast_timestamps(array)
    return _try_cast(array, arrow)


def _cast_struct(array: pa.StructArray, arrow: pa.StructType, datetimes: Datetimes) -> pa.Array:
    children = [_cast(array.field(i), arrow.field(i).type, datetimes) for i in range(arrow.num_fields)]
    if any(child is UNSAFE for child in children):
        return UNSAFE
    return pa.StructArray.from_arrays(children, fields=list(arrow), mask=array.is_null() if array.null_count else None)


def _cast_list(array: pa.ListArray, arrow: pa.ListType, datetimes: Datetimes) -> pa.Array:
    if arrow == array.type and not _needs_check(arrow.value_type):
        return array
    # `values` is the whole child and the offsets point into it, so an array that is a slice stays one.
    values = _cast(array.values, arrow.value_type, datetimes)
    if values is UNSAFE:
        return UNSAFE
    validity = array.buffers()[0]
    return pa.Array.from_buffers(
        arrow, len(array), [validity, array.buffers()[1]], array.null_count, array.offset, children=[values]
    )


def _needs_check(arrow: pa.DataType) -> bool:
    return bool(pa.types.is_nested(arrow) or pa.types.is_floating(arrow) or pa.types.is_decimal(arrow))


def cast_timestamps(array: pa.StringArray) -> pa.Array:
    """Text to TIMESTAMP in UTC: all values with a zone, or none; or UNSAFE."""
    if array.null_count == len(array):
        return pa.nulls(len(array), TIMESTAMP)
    utc = pc.ends_with(array, "Z")
    if pc.all(utc).as_py():
        with_seconds = pc.min(pc.binary_length(array)).as_py() >= _SHORTEST_ZONED
        return _try_cast(array, TIMESTAMP) if with_seconds else UNSAFE
    if not pc.any(utc).as_py():
        local = _try_cast(array, TIMESTAMP_NTZ)
        if local is not UNSAFE:
            return local.view(TIMESTAMP)
    if not pc.all(pc.match_substring_regex(array, _ZONED)).as_py():
        return UNSAFE
    return _try_cast(array, TIMESTAMP)


def cast_seconds(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Whole seconds since the epoch to TIMESTAMP, or UNSAFE if that overflows (as it silently does in Spark)."""
    try:
        micros = pc.multiply_checked(column, 1_000_000)
    except pa.ArrowInvalid:
        return UNSAFE
    return pa.chunked_array([chunk.view(TIMESTAMP) for chunk in micros.chunks], TIMESTAMP)


def _try_cast(array: pa.StringArray, arrow: pa.DataType) -> pa.Array:
    try:
        return array.cast(arrow)
    except pa.ArrowInvalid:
        return UNSAFE


def _has_negative_zero(array: pa.Array) -> bool:
    """Whether there is a value whose sign depends on its spelling."""
    data = array.buffers()[1]
    if data is None:
        return False
    kind: type[np.floating[Any]] = np.float32 if pa.types.is_float32(array.type) else np.float64
    values = np.frombuffer(data, kind, count=len(array) + array.offset)[array.offset :]
    return bool((np.signbit(values) & (values == 0)).any())


def _fits(array: pa.Array) -> bool:
    """Whether all decimals have no more digits than their type; Arrow's JSON parser does not look."""
    try:
        array.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True
