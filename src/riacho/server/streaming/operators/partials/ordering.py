"""Which of two values is the greater, as Spark orders them, for every type that has an order.

NaN is the greatest number; -0.0 equals 0.0. Inside structs and arrays null is the least value; a shorter array comes
before a longer one that starts with it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from riacho.server.state.run import Mask

Signs = npt.NDArray[np.int8]


def choose(which: Mask, left: pa.Array, right: pa.Array) -> pa.Array:
    """Row by row `left` where `which` is true, else `right`; for any type."""
    if not pa.types.is_nested(left.type):
        return pc.if_else(pa.array(which), left, right)
    rows = np.arange(len(left))
    return pa.concat_arrays([left, right]).take(pa.array(np.where(which, rows, rows + len(left))))


def present(column: pa.Array) -> Mask:
    """Where a column is not null."""
    return column.is_valid().to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]


def smaller(state: pa.Array, batch: pa.Array, known: Mask) -> pa.Array:  # noqa: ARG001
    """Merge: the lesser of two, null meaning that there is none."""
    return choose(present(state) & (~present(batch) | (compare(state, batch) <= 0)), state, batch)


def larger(state: pa.Array, batch: pa.Array, known: Mask) -> pa.Array:  # noqa: ARG001
    """Merge: the greater of two, null meaning that there is none."""
    return choose(present(state) & (~present(batch) | (compare(state, batch) >= 0)), state, batch)


def compare(left: pa.Array, right: pa.Array) -> Signs:
    """Row by row -1, 0 or 1: `left` is less than, equal to or greater than `right`."""
    kind = left.type
    has_left, has_right = present(left), present(right)
    if pa.types.is_struct(kind):
        signs = _first_difference([compare(a, b) for a, b in zip(left.flatten(), right.flatten(), strict=True)], left)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        signs = _compare_lists(left, right)
    else:
        signs = _compare_plain(left, right)
    return np.where(has_left & has_right, signs, has_left.astype(np.int8) - has_right.astype(np.int8))


def _compare_plain(left: pa.Array, right: pa.Array) -> Signs:
    if pa.types.is_null(left.type):
        return np.zeros(len(left), dtype=np.int8)
    if pa.types.is_boolean(left.type):
        left, right = left.cast(pa.uint8()), right.cast(pa.uint8())
    elif pa.types.is_timestamp(left.type) or pa.types.is_duration(left.type):
        left, right = left.cast(pa.int64()), right.cast(pa.int64())
    less, greater = _mask(pc.less(left, right)), _mask(pc.greater(left, right))
    if pa.types.is_floating(left.type):
        left_nan, right_nan = _mask(pc.is_nan(left)), _mask(pc.is_nan(right))
        less, greater = less | (right_nan & ~left_nan), greater | (left_nan & ~right_nan)
    return greater.astype(np.int8) - less.astype(np.int8)


def _compare_lists(left: pa.Array, right: pa.Array) -> Signs:
    """Position by position, as far as both go; then the lengths."""
    sizes = [pc.fill_null(pc.list_value_length(side), 0).to_numpy(zero_copy_only=False) for side in (left, right)]
    signs: Signs = np.sign(sizes[0].astype(np.int64) - sizes[1]).astype(np.int8)
    open_rows = np.arange(len(left))
    position = 0
    while True:
        open_rows = open_rows[(sizes[0][open_rows] > position) & (sizes[1][open_rows] > position)]
        if not len(open_rows):
            return signs
        rows = pa.array(open_rows)
        found = compare(*(pc.list_element(side.take(rows), position) for side in (left, right)))
        signs[open_rows[found != 0]] = found[found != 0]
        open_rows = open_rows[found == 0]
        position += 1


def _first_difference(signs: list[Signs], of: pa.Array) -> Signs:
    result = np.zeros(len(of), dtype=np.int8)
    for each in signs:
        result = np.where(result == 0, each, result)
    return result


def _mask(column: pa.Array) -> Mask:
    return pc.fill_null(column, False).to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]
