"""Columns of text to dates and timestamps, vectorised, where Arrow and Spark cannot disagree.

Arrow's casts take ISO 8601 and nothing else; of that, Spark refuses zones beyond ±18:00 and zones behind a time without
seconds. So a value either converts exactly as in Spark or is *odd*, and its row goes to the exact converter.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from riacho.server.formats.datetimes import Datetimes
from riacho.server.formats.fixed_patterns import fixed_pattern
from riacho.server.formats.patterns import Pattern
from riacho.types import TIMESTAMP, TIMESTAMP_NTZ
from riacho.zones import zone_offset_us

UNSAFE: Final[Any] = object()
"""What a cast gives instead of a column when some value may mean something else to Spark."""

_DIGITS: Final = 38
"""Of a DECIMAL at most. Arrow's JSON parser looks at the digits as they are written, and not whether there is room for
as many zeros as the scale adds: it is asked for so few that there is (`_read_as`)."""

_FINE: Final = 18
"""The scale that decimals are read with which have more digits than their column."""

Mask: TypeAlias = npt.NDArray[np.bool_]

_ZONED: Final = r"\d\d:\d\d:\d\d(?:\.\d*)?(?:Z|[+-](?:0\d|1[0-7])(?::?\d\d)?|[+-]18(?::?00)?)$"
_LOCAL: Final = r"^\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?)?$"
_DATE: Final = r"^\d{4}-\d\d-\d\d$"
_NANOSECONDS: Final = r"(:\d\d\.\d{6})\d+"
_SHORTEST_ZONED: Final = len("2024-01-02T03:04:05Z")
_QUARTER_US: Final = 900_000_000
"""Clocks change at quarters of an hour, for as long as zones have been at whole minutes."""
_MOST_SECONDS: Final = 9_000_000_000_000
"""Since the epoch, either way: their microseconds have room in 64 bits."""
_FEW_ODD: Final = 64
"""So many odd values are searched for one by one; if there are more, what is left to search is taken for odd."""


@dataclass(frozen=True)
class Values:
    """The values of a column; where `odd` holds (None: nowhere), the value there means nothing."""

    array: pa.Array
    odd: Mask | None = None


def text_schema(schema: pa.Schema, *, wide: bool = False) -> pa.Schema:
    """`schema` with text in place of dates and timestamps, at any depth: what a parser is to give `cast_values`.

    `wide`: decimals with a scale that also has room for digits which are to be rounded away.
    """
    return pa.schema([field.with_type(_text_type(field.type, wide=wide)) for field in schema])


def _text_type(arrow: pa.DataType, *, wide: bool) -> pa.DataType:
    if pa.types.is_date32(arrow) or pa.types.is_timestamp(arrow):
        return pa.string()
    if pa.types.is_decimal(arrow):
        return _read_as(arrow, wide=wide)
    if pa.types.is_struct(arrow):
        return pa.struct([field.with_type(_text_type(field.type, wide=wide)) for field in arrow])
    if pa.types.is_list(arrow):
        return pa.list_(arrow.value_field.with_type(_text_type(arrow.value_type, wide=wide)))
    return arrow


def _read_as(arrow: pa.DataType, *, wide: bool) -> pa.DataType:
    scale = max(arrow.scale, _FINE) if wide else arrow.scale
    return pa.decimal128(_DIGITS - scale if wide else min(arrow.precision, _DIGITS - scale), scale)


def castable(arrow: pa.DataType, datetimes: Datetimes) -> bool:
    """Whether text can be cast to this date or time type at all, with the reader's patterns."""
    pattern = _pattern(arrow, datetimes)
    fixed = None if pattern is None else fixed_pattern(pattern.text)
    return pattern is None or not (fixed is None or (fixed.has_time and pa.types.is_date32(arrow)))


def _pattern(arrow: pa.DataType, datetimes: Datetimes) -> Pattern | None:
    if pa.types.is_date32(arrow):
        return datetimes.date_pattern
    return datetimes.local_pattern if arrow.tz is None else datetimes.timestamp_pattern


def cast_text(column: pa.ChunkedArray, arrow: pa.DataType, datetimes: Datetimes) -> pa.ChunkedArray:
    """A column of `_text_type(arrow)` as `arrow`, or UNSAFE. Dates and times in it must be `castable`."""
    chunks = [cast_values(chunk, arrow, datetimes) for chunk in column.chunks]
    if any(chunk.odd is not None for chunk in chunks):
        return UNSAFE
    return pa.chunked_array([chunk.array for chunk in chunks], arrow)


def cast_values(array: pa.Array, arrow: pa.DataType, datetimes: Datetimes) -> Values:
    """The same of one array, value by value."""
    if pa.types.is_struct(arrow):
        return _cast_struct(array, arrow, datetimes)
    if pa.types.is_list(arrow):
        return _cast_list(array, arrow, datetimes)
    if pa.types.is_floating(arrow):
        return Values(array, _negative_zeros(array))
    if pa.types.is_decimal(arrow):
        return _cast_decimals(array, arrow)
    if pa.types.is_date32(arrow) or pa.types.is_timestamp(arrow):
        return _cast_moments(array, arrow, datetimes)
    return Values(array)


def _all_odd(array: pa.Array, arrow: pa.DataType) -> Values:
    return Values(pa.nulls(len(array), arrow), array.is_valid().to_numpy(zero_copy_only=False))


def _cast_moments(array: pa.StringArray, arrow: pa.DataType, datetimes: Datetimes) -> Values:
    """Text to DATE, TIMESTAMP or TIMESTAMP_NTZ."""
    if array.null_count == len(array):
        return Values(pa.nulls(len(array), arrow))
    pattern = _pattern(arrow, datetimes)
    if pattern is not None:
        fixed = fixed_pattern(pattern.text)
        if fixed is None:
            return _all_odd(array, arrow)
        found = _cast_some(fixed.to_iso(array), array, pa.date32() if pa.types.is_date32(arrow) else TIMESTAMP_NTZ)
        return found if arrow == found.array.type else _in_zone(found, datetimes.zone)
    if arrow == TIMESTAMP:
        return _cast_timestamps(array, datetimes.zone)
    quick = _try_cast(array, arrow)
    return (
        _cast_some(_those(array, _DATE if pa.types.is_date32(arrow) else _LOCAL), array, arrow)
        if (quick is UNSAFE)
        else Values(quick)
    )


def _cast_timestamps(array: pa.StringArray, zone: str) -> Values:
    """Text to TIMESTAMP; `zone` is for text that names none."""
    utc = pc.ends_with(array, "Z")
    if pc.all(utc).as_py() and pc.min(pc.binary_length(array)).as_py() >= _SHORTEST_ZONED:
        quick = _try_cast(array, TIMESTAMP)
        if quick is not UNSAFE:
            return Values(quick)
    array = pc.replace_substring_regex(array, _NANOSECONDS, r"\1")
    zoned = _those(array, _ZONED)
    there = _cast_some(zoned, array, TIMESTAMP)
    here = _in_zone(_cast_some(_those(array, _LOCAL), array, TIMESTAMP_NTZ), zone)
    both = pc.if_else(pc.is_valid(zoned), there.array, here.array)
    odd = [values.odd for values in (there, here) if values.odd is not None]
    return Values(both, np.logical_and.reduce(odd) if len(odd) == 2 else None)


def _cast_some(some: pa.StringArray, array: pa.StringArray, arrow: pa.DataType) -> Values:
    """Those values of `array` that `some` has, cast; odd are the others, and those that cannot be cast."""
    odd = np.zeros(len(array), np.bool_)
    if some.null_count != array.null_count:
        odd = pc.and_(pc.is_valid(array), pc.is_null(some)).to_numpy(zero_copy_only=False)
    left = [max(_FEW_ODD, len(array) // _FEW_ODD)]

    def cast(low: int, high: int) -> list[pa.Array]:
        part = some.slice(low, high - low)
        found = _try_cast(part, arrow)
        if found is not UNSAFE:
            return [found]
        if high - low == 1 or left[0] <= 0:
            left[0] -= 1
            odd[low:high] |= part.is_valid().to_numpy(zero_copy_only=False)
            return [pa.nulls(high - low, arrow)]
        middle = (low + high) // 2
        return cast(low, middle) + cast(middle, high)

    cast_parts = cast(0, len(array))
    return Values(cast_parts[0] if len(cast_parts) == 1 else pa.concat_arrays(cast_parts), odd if odd.any() else None)


def _those(array: pa.StringArray, form: str) -> pa.StringArray:
    """The values of that form; NULL instead of the others."""
    return pc.if_else(pc.match_substring_regex(array, form), array, pa.scalar(None, pa.string()))


def _in_zone(local: Values, zone: str) -> Values:
    """Local times as instants. Those at which clocks change are odd."""
    if zone == "UTC":
        return Values(local.array.view(TIMESTAMP), local.odd)
    micros = local.array.view(pa.int64()).fill_null(0).to_numpy()
    quarters, at = np.unique(micros // _QUARTER_US, return_inverse=True)
    begins = [zone_offset_us(zone, int(quarter) * _QUARTER_US) or 0 for quarter in quarters]
    ends = [zone_offset_us(zone, int(quarter + 1) * _QUARTER_US - 1) or 0 for quarter in quarters]
    offsets = np.array(begins, np.int64)[at]
    valid = local.array.is_valid().to_numpy(zero_copy_only=False)
    odd = valid & (offsets != np.array(ends, np.int64)[at])
    if local.odd is not None:
        odd |= local.odd
    instants = pa.array(micros - offsets, pa.int64(), mask=~valid).view(TIMESTAMP)
    return Values(instants, odd if odd.any() else None)


def _cast_struct(array: pa.StructArray, arrow: pa.StructType, datetimes: Datetimes) -> Values:
    children = [cast_values(array.field(i), arrow.field(i).type, datetimes) for i in range(arrow.num_fields)]
    odd = [child.odd for child in children if child.odd is not None]
    mask = array.is_null() if array.null_count else None
    built = pa.StructArray.from_arrays([child.array for child in children], fields=list(arrow), mask=mask)
    return Values(built, np.logical_or.reduce(odd) if odd else None)


def _cast_list(array: pa.ListArray, arrow: pa.ListType, datetimes: Datetimes) -> Values:
    if arrow == array.type and not _needs_check(arrow.value_type):
        return Values(array)
    # `values` is the whole child and the offsets point into it, so an array that is a slice stays one.
    values = cast_values(array.values, arrow.value_type, datetimes)
    validity = array.buffers()[0]
    built = pa.Array.from_buffers(
        arrow, len(array), [validity, array.buffers()[1]], array.null_count, array.offset, children=[values.array]
    )
    if values.odd is None:
        return Values(built)
    offsets = array.offsets.to_numpy()
    before = np.concatenate(([0], np.cumsum(values.odd)))
    return Values(built, before[offsets[1:]] > before[offsets[:-1]])


def _needs_check(arrow: pa.DataType) -> bool:
    return bool(pa.types.is_nested(arrow) or pa.types.is_floating(arrow) or pa.types.is_decimal(arrow))


def cast_seconds(array: pa.Int64Array) -> Values:
    """Whole seconds since the epoch to TIMESTAMP; odd are those that overflow, as they silently do in Spark."""
    seconds = array.fill_null(0).to_numpy()
    odd = np.abs(seconds.astype(np.float64)) > _MOST_SECONDS
    micros = np.where(odd, 0, seconds) * 1_000_000
    valid = array.is_valid().to_numpy(zero_copy_only=False)
    return Values(pa.array(micros, pa.int64(), mask=~valid).view(TIMESTAMP), odd if odd.any() else None)


def _try_cast(array: pa.StringArray, arrow: pa.DataType) -> pa.Array:
    try:
        return array.cast(arrow)
    except pa.ArrowInvalid:
        return UNSAFE


def _negative_zeros(array: pa.Array) -> Mask | None:
    """Where there is a value whose sign depends on its spelling."""
    data = array.buffers()[1]
    if data is None:
        return None
    kind: type[np.floating[Any]] = np.float32 if pa.types.is_float32(array.type) else np.float64
    values = np.frombuffer(data, kind, count=len(array) + array.offset)[array.offset :]
    odd: Mask = np.signbit(values) & (values == 0)
    return odd if odd.any() else None


def _cast_decimals(array: pa.Array, arrow: pa.DataType) -> Values:
    """Decimals as they were read (`_read_as`): rounded to the type's scale, and odd where they are too large for it."""
    scale = array.type.scale
    exact = array.view(pa.decimal128(_DIGITS, scale))
    whole = arrow.precision - arrow.scale
    try:
        if scale > arrow.scale:
            exact = pc.round(exact, ndigits=arrow.scale, round_mode="half_towards_infinity")
        if whole + scale >= _DIGITS:  # no more than that was read
            return Values(exact.cast(arrow))
        large = pc.greater_equal(pc.abs(exact), pa.scalar(Decimal(10) ** whole, exact.type))
        if not pc.any(large).as_py():
            return Values(exact.cast(arrow))
        kept = pc.if_else(large, pa.scalar(None, exact.type), exact).cast(arrow)
    except pa.ArrowInvalid:
        return _all_odd(array, arrow)
    return Values(kept, large.fill_null(fill_value=False).to_numpy(zero_copy_only=False))
