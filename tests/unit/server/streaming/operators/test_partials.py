"""What is kept of aggregate functions: merging parts gives what all values at once give."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riacho.server.plan import build
from riacho.server.plan.build import Expression
from riacho.server.streaming.operators.partials import arguments, decompose
from riacho.server.streaming.operators.partials.hyperloglog import Sketch
from riacho.server.streaming.operators.partials.lists import append, append_unseen, fold
from riacho.server.streaming.operators.partials.ordering import compare, larger

NUMBERS = st.lists(st.lists(st.integers(-3, 5) | st.none(), max_size=6), min_size=2, max_size=2)
GROUPS = st.lists(NUMBERS, min_size=1, max_size=5)
"""For each group its values in two batches."""


def computed(name: str, result: pa.DataType, lists: Any, batches: tuple[pa.Array, pa.Array]) -> list[Any]:
    """The result of a function whose only partial is made of lists, from two batches of them."""
    function = build.call(name, build.col("x"), *lists).unresolved_function
    [partial] = decompose(function, result).partials
    first, second = (partial.update(batch) for batch in batches)
    assert partial.merge is not None
    merged = partial.merge(first, second, np.ones(len(first), dtype=np.bool_))
    return partial.finalize(merged).to_pylist()  # type: ignore[no-any-return]


def plain_lists(groups: list[list[list[int | None]]], batch: int, kind: pa.DataType) -> pa.Array:
    return pa.array([[v for v in group[batch] if v is not None] for group in groups], pa.list_(kind))


def counted_lists(groups: list[list[list[int | None]]], batch: int, kind: pa.DataType) -> pa.Array:
    pair = pa.struct([("value", kind), ("count", pa.int64())])
    rows = [[{"value": v, "count": 1} for v in group[batch] if v is not None] for group in groups]
    return pa.array(rows, pa.list_(pair))


def all_of(group: list[list[int | None]]) -> list[int]:
    return [v for batch in group for v in batch if v is not None]


@settings(deadline=None)
@given(GROUPS)
def test_lists_are_joined_in_order(groups: list[list[list[int | None]]]) -> None:
    first, second = (pa.array([group[i] for group in groups], pa.list_(pa.int32())) for i in (0, 1))
    known = np.ones(len(groups), dtype=np.bool_)
    assert append(first, second, known).to_pylist() == [a + b for a, b in groups]
    sets = append_unseen(first, second, known).to_pylist()
    assert sets == [list(dict.fromkeys(a + b)) for a, b in groups]


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(-3, 5), max_size=9), max_size=6))
def test_folding_a_list_leaves_what_merging_gives(lists: list[list[int]]) -> None:
    folded = fold(pa.array(lists, pa.list_(pa.int32())), larger)
    assert folded.to_pylist() == [max(values, default=None) for values in lists]


@settings(deadline=None)
@given(GROUPS, st.sampled_from([0.0, 0.2, 0.5, 0.9, 1.0]))
def test_modes_and_percentiles(groups: list[list[list[int | None]]], fraction: float) -> None:
    batches = counted_lists(groups, 0, pa.int32()), counted_lists(groups, 1, pa.int32())
    wanted = [Expression(literal=Expression.Literal(double=fraction))]
    modes = computed("mode", pa.int32(), [], batches)
    nearest = computed("percentile_approx", pa.int32(), wanted, batches)
    exact = computed("percentile", pa.float64(), wanted, batches)
    for group, mode, near, between in zip(groups, modes, nearest, exact, strict=True):
        values = sorted(all_of(group))
        if not values:
            assert (mode, near, between) == (None, None, None)
            continue
        most = max(Counter(values).values())
        assert mode == min(v for v in values if values.count(v) == most)
        assert near == values[max(math.ceil(len(values) * fraction), 1) - 1]
        assert between == pytest.approx(float(np.percentile(values, fraction * 100)))


@settings(deadline=None)
@given(GROUPS)
def test_higher_moments(groups: list[list[list[int | None]]]) -> None:
    batches = plain_lists(groups, 0, pa.float64()), plain_lists(groups, 1, pa.float64())
    skews, tails = (computed(name, pa.float64(), [], batches) for name in ("skewness", "kurtosis"))
    for group, skew, tail in zip(groups, skews, tails, strict=True):
        distance = np.array(all_of(group), dtype=float) - (np.mean(all_of(group)) if all_of(group) else 0)
        if not np.any(np.abs(distance) > 1e-9):
            assert skew is None or abs(skew) < 1e9  # nothing but what rounding leaves
            continue
        spread = np.mean(distance**2)
        assert skew == pytest.approx(np.mean(distance**3) / spread**1.5, abs=1e-9)
        assert tail == pytest.approx(np.mean(distance**4) / spread**2 - 3, abs=1e-9)


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 2**63 - 1), max_size=40), min_size=1, max_size=4), st.sampled_from([4, 6, 9]))
def test_registers_do_not_depend_on_batches_and_survive_packing(hashes: list[list[int]], bits: int) -> None:
    sketch = Sketch(bits)
    whole = sketch.of_hashes(pa.array(hashes, pa.list_(pa.int64())))
    evens, odds = (sketch.of_hashes(pa.array([h[i::2] for h in hashes], pa.list_(pa.int64()))) for i in (0, 1))
    merged = sketch.merge(evens, odds, np.ones(len(hashes), dtype=np.bool_))
    assert merged == whole
    assert sketch.pack(sketch.unpack(whole)) == whole
    for row, estimate in zip(hashes, sketch.estimates(whole).to_pylist(), strict=True):
        assert (estimate == 0) == (not row)


def test_no_state_is_nothing() -> None:
    sketch = Sketch(4)
    batch = sketch.of_hashes(pa.array([[1], []], pa.list_(pa.int64())))
    assert sketch.merge(pa.nulls(2, pa.binary()), batch, np.zeros(2, dtype=np.bool_)) == batch


ORDERED = [None, float("-inf"), -1.5, 0.0, 2.0, float("inf"), float("nan")]


def test_numbers_are_ordered_as_in_spark() -> None:
    for i, left in enumerate(ORDERED):
        for j, right in enumerate(ORDERED):
            assert compare(pa.array([left], pa.float64()), pa.array([right], pa.float64())) == [np.sign(i - j)]
    assert compare(pa.array([-0.0]), pa.array([0.0])) == [0]


PAIRS = st.none() | st.tuples(
    st.none() | st.integers(-2, 2), st.lists(st.none() | st.booleans(), max_size=3) | st.none()
)


def key(value: Any) -> Any:
    """A value such that Python orders it as Spark does."""
    if value is None:
        return (0,)
    return (1, tuple(key(item) for item in value) if isinstance(value, list | tuple) else value)


@settings(deadline=None)
@given(st.lists(st.tuples(PAIRS, PAIRS), min_size=1, max_size=8))
def test_structs_and_arrays_are_ordered_as_in_spark(pairs: list[tuple[Any, Any]]) -> None:
    kind = pa.struct([("a", pa.int32()), ("b", pa.list_(pa.bool_()))])
    sides = [
        [None if v is None else dict(zip("ab", v, strict=True)) for v in side] for side in zip(*pairs, strict=True)
    ]
    found = compare(*(pa.array(side, kind) for side in sides))
    assert found.tolist() == [(key(a) > key(b)) - (key(a) < key(b)) for a, b in pairs]


def test_constants_are_read_however_they_are_written() -> None:
    text = Expression(expression_string=Expression.ExpressionString(expression="0.25d"))
    literal = Expression(literal=Expression.Literal(double=0.5))
    assert arguments.number(text) == 0.25
    assert arguments.numbers(build.call("array", literal, text)) == [0.5, 0.25]
    assert arguments.number(build.col("x")) is None
    assert arguments.numbers(build.call("array", literal, build.col("x"))) is None
