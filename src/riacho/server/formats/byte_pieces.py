"""Pieces of BINARY values, whole columns at once."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from riacho.server.formats.avro.cursors import cursors_of
from riacho.server.formats.avro.leaves import pieces

_LONGEST = 1 << 30
"""No value is as long: Arrow's BINARY columns have less."""


def substring(column: pa.Array, position: pa.Array, length: pa.Array) -> pa.Array:
    """`substring(bytes, position, length)` as Spark has it (`ByteArray.subStringSQL`); null if an argument is.

    Positions count from 1, or from the end if they are negative; what lies before the first byte counts as length.
    """
    if len(column) and not position.null_count and not length.null_count:
        (begin, last), (least, most) = (_range_of(numbers) for numbers in (position, length))
        if begin == last and least == most and begin > 0 and least >= 0:
            return pc.binary_slice(column.cast(pa.binary()), begin - 1, min(begin - 1 + least, _LONGEST))
    cursors, _ = cursors_of(column)
    sizes = cursors.end - cursors.at
    first = position.fill_null(1).to_numpy(zero_copy_only=False).astype(np.int64)
    count = length.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    start = np.where(first > 0, first - 1, np.where(first < 0, sizes + first, 0))
    end = np.minimum(start + count, sizes)
    start = np.clip(start, 0, sizes)
    kept = np.maximum(end - start, 0)
    gone = pc.or_(pc.or_(column.is_null(), position.is_null()), length.is_null())
    found = pieces(cursors.data, cursors.at + start, kept)
    return pc.if_else(gone, pa.scalar(None, pa.binary()), found) if pc.any(gone).as_py() else found


def _range_of(numbers: pa.Array) -> tuple[int, int]:
    found = pc.min_max(numbers).as_py()
    return found["min"], found["max"]
