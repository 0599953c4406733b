"""Keys are equal exactly where Spark's grouping says so, and hashes never change."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riacho.server.state.hashing import hash_keys

TYPES = {
    "int": (pa.int32(), st.integers(-(2**31), 2**31 - 1)),
    "string": (pa.string(), st.text(max_size=20)),
    "binary": (pa.binary(), st.binary(max_size=20)),
    "bool": (pa.bool_(), st.booleans()),
    "decimal": (pa.decimal128(10, 2), st.integers(-(10**8), 10**8).map(lambda n: Decimal(n) / 100)),
    "list": (pa.list_(pa.string()), st.lists(st.none() | st.text(max_size=3), max_size=4)),
    "struct": (
        pa.struct([("a", pa.int64()), ("b", pa.string())]),
        st.fixed_dictionaries({"a": st.none() | st.integers(0, 3), "b": st.none() | st.text(max_size=2)}),
    ),
}


def hashes(array: pa.Array) -> list[tuple[int, int]]:
    hashed = hash_keys([array], len(array))
    return [(int(high), int(low)) for high, low in zip(hashed.high, hashed.low, strict=True)]


@pytest.mark.parametrize("name", TYPES)
@given(data=st.data())
@settings(deadline=None)
def test_equal_values_and_only_those_hash_alike(name: str, data: st.DataObject) -> None:
    kind, values = TYPES[name]
    drawn = data.draw(st.lists(st.none() | values, min_size=1, max_size=12))
    found = hashes(pa.array(drawn, kind))
    for left, left_hash in zip(drawn, found, strict=True):
        for right, right_hash in zip(drawn, found, strict=True):
            assert (left == right) == (left_hash == right_hash)


@pytest.mark.parametrize("name", TYPES)
@given(data=st.data())
@settings(deadline=None)
def test_a_slice_hashes_as_its_values_do(name: str, data: st.DataObject) -> None:
    kind, values = TYPES[name]
    array = pa.array(data.draw(st.lists(st.none() | values, min_size=3, max_size=9)), kind)
    assert hashes(array[1:]) == hashes(array)[1:]
    assert hashes(array[:-1]) == hashes(array)[:-1]


def test_zeros_are_one_key_and_nans_are_one_key() -> None:
    zero, minus_zero, nan, other_nan, one = hashes(pa.array([0.0, -0.0, float("nan"), -float("nan"), 1.0]))
    assert zero == minus_zero
    assert nan == other_nan
    assert len({zero, nan, one}) == 3


def test_where_a_null_stands_matters() -> None:
    first = pa.array(["a", None])
    second = pa.array([None, "a"])
    hashed = hash_keys([first, second], 2)
    assert hashed.high[0] != hashed.high[1]


def test_no_columns_are_one_key() -> None:
    hashed = hash_keys([], 3)
    assert len(set(hashed.high)) == 1


def test_the_hash_is_the_one_in_existing_state_files() -> None:
    stamp = datetime(2024, 1, 1, tzinfo=UTC)
    window = pa.struct([("start", pa.timestamp("us")), ("end", pa.timestamp("us"))])
    columns = [
        pa.array([1], pa.int32()),
        pa.array(["riacho"]),
        pa.array([stamp], pa.timestamp("us", "UTC")),
        pa.array([date(2024, 1, 1)]),
        pa.array([1.5]),
        pa.array([Decimal("1.50")], pa.decimal128(10, 2)),
        pa.array([{"start": stamp, "end": None}], window),
    ]
    hashed = hash_keys(columns, 1)
    assert (int(hashed.high[0]), int(hashed.low[0])) == (4752331558920886973, 3682864401911755654)
