"""Columns of lists, worked on as a whole: every function here is a few passes over the flat values of all rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from riacho.server.state.hashing import first_places, hash_keys
from riacho.server.state.run import Mask
from riacho.server.streaming.operators.partials.model import Merge

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def lengths(lists: pa.Array) -> Ints:
    """How many values each row has; none for null."""
    return ints(pc.fill_null(pc.list_value_length(lists), 0))


def owners(lists: pa.Array) -> Ints:
    """For each of the flat values, the row it is in."""
    return np.repeat(np.arange(len(lists)), lengths(lists))


def lists_of(values: pa.Array, sizes: Ints, kind: pa.DataType) -> pa.Array:
    """Lists of these sizes, cut from `values` one after the other. `kind`: the type of the lists."""
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    if pa.types.is_large_list(kind):
        return pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), values.cast(kind.value_type), type=kind)
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values.cast(kind.value_type), type=kind)


def append(state: pa.Array, batch: pa.Array, known: Mask) -> pa.Array:  # noqa: ARG001
    """Merge: the values of the state, then those of the batch."""
    old, new = state.flatten(), batch.flatten()
    if not len(old):
        return lists_of(new, lengths(batch), batch.type)
    sizes = np.stack([lengths(state), lengths(batch)], axis=1)
    starts = np.stack([_starts(sizes[:, 0]), len(old) + _starts(sizes[:, 1])], axis=1)
    values = pa.concat_arrays([old, new]).take(pa.array(ranges(starts.ravel(), sizes.ravel())))
    return lists_of(values, sizes.sum(axis=1), batch.type)


def append_unseen(state: pa.Array, batch: pa.Array, known: Mask) -> pa.Array:
    """Merge: the same without values that the row has already."""
    both = append(state, batch, known)
    values, row = both.flatten(), owners(both)
    kept = first_places(hash_keys([pa.array(row), values], len(values)))
    return lists_of(values.take(pa.array(kept)), np.bincount(row[kept], minlength=len(both)), batch.type)


def fold(lists: pa.Array, merge: Merge) -> pa.Array:
    """One value per row: its values merged in order, two neighbours at a time until one is left. Null for no values."""
    values, row = lists.flatten(), owners(lists)
    while True:
        place = np.arange(len(row)) - np.searchsorted(row, row)
        right = np.flatnonzero(place % 2 == 1)
        if not len(right):
            break
        left = np.flatnonzero(place % 2 == 0)
        paired = np.zeros(len(row), dtype=np.bool_)
        paired[right - 1] = True
        both = merge(
            values.take(pa.array(right - 1)), values.take(pa.array(right)), np.ones(len(right), dtype=np.bool_)
        )
        alone = values.take(pa.array(left[~paired[left]]))
        order = np.argsort(np.concatenate([right - 1, left[~paired[left]]]))
        values, row = pa.concat_arrays([both, alone]).take(pa.array(order)), row[left]
    place = np.zeros(len(lists), dtype=np.int64)
    place[row] = np.arange(len(row))
    return values.take(pa.array(place, mask=np.bincount(row, minlength=len(lists)) == 0))


def ranges(starts: Ints, sizes: Ints) -> Ints:
    """The numbers from each start on, as many as its size says, one range after the other."""
    return np.repeat(starts - _starts(sizes), sizes) + np.arange(int(sizes.sum()))


def ints(column: pa.Array) -> Ints:
    return column.cast(pa.int64()).to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]


def floats(column: pa.Array) -> Floats:
    """Numbers of any type as doubles, NaN for null."""
    found: npt.NDArray[Any] = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return found


def _starts(sizes: Ints) -> Ints:
    return np.cumsum(sizes) - sizes
