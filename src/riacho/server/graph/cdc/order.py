"""Values as integers that stand in the same order, by Spark's rules, for every type that has one.

NaN is the greatest number, and -0.0 equals 0.0; text and binary are compared byte by byte; NULL is the least value; of
arrays that begin alike the shorter one is less.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from riacho.server.delta.deletion_vectors import Rows
from riacho.server.delta.files import conform


def has_order(arrow: pa.DataType) -> bool:
    """Whether values of this type can be put in an order (Spark: `RowOrdering.isOrderable`)."""
    if pa.types.is_map(arrow) or pa.types.is_interval(arrow):
        return False
    return all(has_order(arrow.field(index).type) for index in range(arrow.num_fields))


def ranks(*columns: pa.Array | pa.ChunkedArray) -> list[Rows]:
    """For each column a rank per row, to be compared with all ranks of all columns, which have the same type.

    0 is NULL, and equal values have the same rank.
    """
    arrays = [column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column for column in columns]
    together = pa.concat_arrays([conform(array, arrays[0].type) for array in arrays])
    return np.split(_ranks(together), np.cumsum([len(array) for array in arrays])[:-1])


def _ranks(array: pa.Array) -> Rows:
    kind = array.type
    if pa.types.is_null(kind):
        return np.zeros(len(array), dtype=np.int64)
    if pa.types.is_struct(kind):
        found = _in_turn([_ranks(child) for child in array.flatten()], len(array))
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        found = _of_lists(array)
    elif pa.types.is_string(kind) or pa.types.is_binary(kind) or pa.types.is_large_string(kind):
        words = array.cast(pa.binary()).fill_null(b"")
        found = _numpy(pc.rank(words, sort_keys="ascending", tiebreaker="dense")).astype(np.int64)
    elif pa.types.is_decimal(kind):
        filled = array.fill_null(pa.scalar(Decimal(0), kind))
        found = _numpy(pc.rank(filled, sort_keys="ascending", tiebreaker="dense")).astype(np.int64)
    else:
        found = _dense(_integers(array))
    return np.where(_numpy(array.is_valid()).astype(bool), _dense(found) + 1, 0)


def _integers(array: pa.Array) -> Rows:
    """One integer per value of a type of fixed width, in the same order."""
    kind = array.type
    if pa.types.is_floating(kind):
        values = _numpy(array.cast(pa.float64()).fill_null(0.0)) + 0.0  # makes -0.0 the other zero
        bits: Rows = np.where(np.isnan(values), np.nan, values).view(np.int64)
        return np.where(bits < 0, bits ^ np.int64(0x7FFFFFFFFFFFFFFF), bits)
    if pa.types.is_boolean(kind):
        array = array.cast(pa.int8())
    elif pa.types.is_date32(kind):
        array = array.cast(pa.int32())
    return _numpy(array.cast(pa.int64()).fill_null(0))


def _in_turn(parts: Sequence[Rows], rows: int) -> Rows:
    """The order by the first part, then by the second, and so on."""
    found = np.zeros(rows, dtype=np.int64)
    for part in parts:
        found = _dense(found * (int(part.max(initial=0)) + 1) + part)
    return found


def _of_lists(array: pa.Array) -> Rows:
    elements = _ranks(array.flatten())
    lengths = _numpy(pc.fill_null(pc.list_value_length(array), 0)).astype(np.int64)
    ends = np.cumsum(lengths)
    values = [tuple(elements[end - length : end].tolist()) for end, length in zip(ends, lengths, strict=True)]
    place = {value: rank for rank, value in enumerate(sorted(set(values)))}
    return np.array([place[value] for value in values], dtype=np.int64)


def _dense(values: Rows) -> Rows:
    _, found = np.unique(values, return_inverse=True)
    return found.astype(np.int64)


def _numpy(array: pa.Array) -> npt.NDArray[Any]:
    return array.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]
