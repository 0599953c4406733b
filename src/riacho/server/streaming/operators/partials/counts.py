"""Functions of how often each value occurs: `mode`, `median`, `percentile` and `percentile_approx`.

What is kept are the different values of a group with their counts, sorted, without nulls. They are exact: Spark's
`percentile_approx` is as well while a group has no more values than its accuracy stands for (10,000 by default), and
beyond that any value within the accuracy is right.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from riacho.errors import SparkGeneralError
from riacho.server.plan.build import Expression, call, null, text
from riacho.server.state.run import Mask
from riacho.server.streaming.operators.partials import arguments
from riacho.server.streaming.operators.partials.lists import Ints, append, floats, ints, lengths, lists_of, owners
from riacho.server.streaming.operators.partials.model import ArrayFunction, Decomposition, Maker, Partial, single


@dataclass(frozen=True)
class _Counted:
    """Values of many groups, those of one side by side and sorted, with their counts.

    `start`, `end`: where each group's values stand. `upto`: how many there are in the group, up to and with each value.
    """

    values: pa.Array
    start: Ints
    end: Ints
    counts: Ints
    upto: Ints

    @property
    def total(self) -> Ints:
        """How many values each group has, each as often as it occurs; 0 if it has none."""
        last = np.maximum(self.end - 1, 0)
        return np.where(self.end > self.start, self.upto[last] if len(self.upto) else 0, 0)

    def at(self, rank: Ints) -> Ints:
        """Where the value of a rank (from 1 to `total`) of each group stands. Anything for groups without values."""
        if not len(self.upto):
            return np.zeros(len(rank), dtype=np.int64)
        before = np.cumsum(self.counts) - self.upto  # of all groups before the value's own
        offset = before[np.minimum(self.start, len(before) - 1)]
        return np.minimum(np.searchsorted(np.cumsum(self.counts), offset + rank), len(self.upto) - 1)


def _counted(kept: pa.Array) -> _Counted:
    sizes = lengths(kept)
    end = np.cumsum(sizes)
    values, counts = kept.flatten().flatten()
    numbers = ints(counts)
    running = np.cumsum(numbers)
    before = np.concatenate([[0], running])[np.repeat(end - sizes, sizes)]
    return _Counted(values, end - sizes, end, numbers, running - before)


def _count(lists: pa.Array) -> pa.Array:
    """Lists of (value, count), in which a value may stand several times: each value once, sorted, counts added."""
    row = owners(lists)
    values, counts = lists.flatten().flatten()
    order = np.lexsort((_ranks(values), row))
    row, ranks = row[order], _ranks(values)[order]
    new = np.ones(len(row), dtype=np.bool_)
    new[1:] = (row[1:] != row[:-1]) | (ranks[1:] != ranks[:-1])
    firsts = np.flatnonzero(new)
    sums = np.add.reduceat(ints(counts)[order], firsts) if len(firsts) else np.empty(0, dtype=np.int64)
    pairs = pa.StructArray.from_arrays([values.take(pa.array(order[firsts])), pa.array(sums)], names=["value", "count"])
    return lists_of(pairs, np.bincount(row[firsts], minlength=len(lists)), pa.list_(pairs.type))


def _ranks(values: pa.Array) -> Ints:
    """Numbers ordered as the values are; equal for equal values. NaN is the greatest, and -0.0 equals 0.0."""
    if not pa.types.is_floating(values.type):
        return ints(pc.rank(values, tiebreaker="dense"))
    numbers = floats(values) + 0.0
    bits = np.where(np.isnan(numbers), np.nan, numbers).view(np.int64)
    return np.where(bits < 0, bits ^ np.iinfo(np.int64).max, bits)


def _merge(state: pa.Array, batch: pa.Array, known: Mask) -> pa.Array:
    return _count(append(state, batch, known))


def _of_counts(value: Expression, times: Expression, finalize: ArrayFunction) -> Partial:
    """Keep the values with their counts. `times`: how often a row's value counts."""
    pair = call("named_struct", text("value"), value, text("count"), times)
    there = call("and", call("isnotnull", value), call("!=", times, _ZERO))
    return Partial(call("collect_list", call("if", there, pair, null())), _merge, _count, finalize)


_ZERO = Expression(literal=Expression.Literal(long=0))
_ONCE = Expression(literal=Expression.Literal(long=1))


def _has_order(kind: pa.DataType) -> bool:
    return not (pa.types.is_nested(kind) or pa.types.is_null(kind) or pa.types.is_interval(kind))


def _mode(function: Expression.UnresolvedFunction, result: pa.DataType) -> Decomposition | None:
    """The most frequent value; of several the least, which Spark promises for `mode(x, true)` only."""
    return single(_of_counts(function.arguments[0], _ONCE, _most_frequent), result) if _has_order(result) else None


def _most_frequent(kept: pa.Array) -> pa.Array:
    counted = _counted(kept)
    row = owners(kept)
    order = np.lexsort((np.arange(len(row)), -counted.counts, row))
    there = counted.end > counted.start
    places = np.where(there, order[np.minimum(counted.start, max(len(order) - 1, 0))] if len(order) else 0, 0)
    return counted.values.take(pa.array(places, mask=~there))


def _median(function: Expression.UnresolvedFunction, result: pa.DataType) -> Decomposition | None:
    return _percentiles(function.arguments[0], [0.5], _ONCE, result)


def _percentile(function: Expression.UnresolvedFunction, result: pa.DataType) -> Decomposition | None:
    """`percentile(x, fraction or array of them[, how often x counts])`."""
    value, wanted, *times = function.arguments
    fractions = _fractions(wanted, result)
    return _percentiles(value, fractions, times[0] if times else _ONCE, result) if fractions else None


def _percentiles(
    value: Expression, fractions: list[float], times: Expression, result: pa.DataType
) -> Decomposition | None:
    if not pa.types.is_floating(_item(result)):
        return None  # of intervals

    def finalize(kept: pa.Array) -> pa.Array:
        return _several([_interpolated(kept, fraction) for fraction in fractions], result)

    return single(_of_counts(value, times, finalize), result)


def _interpolated(kept: pa.Array, fraction: float) -> pa.Array:
    """The number at `fraction` of the way from the first to the last; between two of them, what lies between."""
    counted = _counted(kept)
    if np.any(counted.counts < 0):
        raise SparkGeneralError("Negative values found in the frequencies of percentile")
    total = counted.total
    position = np.maximum(total - 1, 0) * fraction
    low, high = np.floor(position), np.ceil(position)
    numbers = floats(counted.values)
    if not len(numbers):
        return pa.nulls(len(kept), pa.float64())
    below, above = (numbers[counted.at(rank.astype(np.int64) + 1)] for rank in (low, high))
    with np.errstate(invalid="ignore"):
        between = (high - position) * below + (position - low) * above
    return pa.array(np.where(below == above, below, np.where(low == high, below, between)), mask=total == 0)


def _approximate(function: Expression.UnresolvedFunction, result: pa.DataType) -> Decomposition | None:
    """`percentile_approx(x, fraction or array of them[, accuracy])`: a value that occurs."""
    fractions = _fractions(function.arguments[1], result)
    if not fractions or not _has_order(_item(result)):
        return None

    def finalize(kept: pa.Array) -> pa.Array:
        return _several([_nearest(kept, fraction) for fraction in fractions], result)

    return single(_of_counts(function.arguments[0], _ONCE, finalize), result)


def _nearest(kept: pa.Array, fraction: float) -> pa.Array:
    """The least value that at least `fraction` of all values do not exceed."""
    counted = _counted(kept)
    total = counted.total
    rank = np.clip(np.ceil(total * fraction), 1, np.maximum(total, 1)).astype(np.int64)
    return counted.values.take(pa.array(counted.at(rank), mask=total == 0))


def _fractions(expression: Expression, result: pa.DataType) -> list[float] | None:
    """The percentages asked for, as many as the result has; None if they are no constants between 0 and 1."""
    if pa.types.is_list(result):
        found = arguments.numbers(expression)
    else:
        one = arguments.number(expression)
        found = None if one is None else [one]
    return found if found and all(0 <= fraction <= 1 for fraction in found) else None


def _several(columns: list[pa.Array], result: pa.DataType) -> pa.Array:
    """One column as it is; several as lists, null where there is nothing."""
    if not pa.types.is_list(result):
        return columns[0]
    rows = len(columns[0])
    order = np.arange(rows * len(columns)).reshape(len(columns), rows).T.ravel()
    flat = pa.concat_arrays(columns).take(pa.array(order))
    lists = lists_of(flat, np.full(rows, len(columns)), pa.list_(flat.type))
    return pc.if_else(columns[0].is_valid(), lists, pa.scalar(None, lists.type))


def _item(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_list(kind) else kind


FUNCTIONS: dict[str, Maker] = {
    "mode": _mode,
    "median": _median,
    "percentile": _percentile,
    "percentile_approx": _approximate,
    "approx_percentile": _approximate,
}
