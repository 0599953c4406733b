"""SCD type 2: any order of events and any cut into batches gives the table that plain Python gives."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riacho.server.graph.cdc.definition import END_AT, METADATA, START_AT, ScdType
from riacho.server.graph.cdc.scd1 import Scd1
from riacho.server.graph.cdc.scd2 import RECORD_START_AT, Scd2
from riacho.server.state.hashing import hash_keys
from tests.unit.server.graph.cdc.model import Event, Values, Version, versions
from tests.unit.server.graph.cdc.tables import COLUMNS, DATA, Tables, flow

SCD2 = Scd2()


def tables_of(*arguments: Any, **more: Any) -> Tables:
    return Tables(flow(*arguments, **more), SCD2)


def versions_in(tables: Tables) -> set[Version]:
    rows = tables.target.to_pylist()
    found = {Version(r["id"], tuple(r[c] for c in DATA), frozen(r[START_AT]), frozen(r[END_AT])) for r in rows}
    assert len(found) == len(rows)
    return found


def frozen(value: Any) -> Any:
    return tuple(value.values()) if isinstance(value, dict) else value


def weight(values: Values) -> int:
    """What decides between upserts of the same sequence."""
    return int(hash_keys([pa.array([values[name]], COLUMNS.field(name).type) for name in DATA], 1).high[0])


VALUES = st.fixed_dictionaries(
    {
        "name": st.sampled_from([None, "a", "b"]),
        "city": st.sampled_from([None, "x", "y"]),
        "n": st.sampled_from([None, 0.0, 1.5]),
    }
)
EVENTS = st.lists(
    st.builds(Event, st.integers(0, 2), st.integers(0, 6), st.one_of(VALUES, VALUES, VALUES, st.none())), max_size=14
)


@given(data=st.data(), events=EVENTS)
@pytest.mark.parametrize(
    ("tracked", "ignore_nulls"),
    [(DATA, ()), (("name",), ()), (DATA, DATA), (("name", "n"), ("name", "city")), ((), ())],
    ids=["all", "one tracked", "nulls ignored", "some of both", "none tracked"],
)
def test_any_order_and_any_cut_gives_the_same_table(
    tracked: Sequence[str], ignore_nulls: Sequence[str], data: st.DataObject, events: list[Event]
) -> None:
    expected = versions(events, DATA, tracked, ignore_nulls, weight)
    again = data.draw(st.lists(st.sampled_from(events), max_size=4)) if events else []
    order = data.draw(st.permutations([*events, *again]))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(order)), max_size=5)))
    tables = tables_of(tracked, ignore_nulls)
    for first, last in zip([0, *cuts], [*cuts, len(order)], strict=True):
        batch = order[first:last]
        for _ in range(data.draw(st.integers(0, 2))):
            tables.batch(batch, crash=True)
        tables.batch(batch)
    assert versions_in(tables) == expected
    repeated = tables.batch(order)
    assert repeated.target.empty
    assert versions_in(tables) == expected


def said(name: str | None = None, city: str | None = None, n: float | None = None) -> Values:
    return {"name": name, "city": city, "n": n}


def test_a_run_has_the_start_of_its_first_event_and_the_values_of_its_last() -> None:
    """The example in Spark's description of runs."""
    tables = tables_of(tracked=["name"])
    tables.batch([Event(1, at, said("Alice", city)) for at, city in ((5, "a"), (10, "b"), (15, "c"))])
    tables.batch([Event(1, 20, said("Charlie"))])
    assert versions_in(tables) == {
        Version(1, ("Alice", "c", None), 5, 20),
        Version(1, ("Charlie", None, None), 20, None),
    }
    assert sorted(tables.auxiliary[METADATA].combine_chunks().field(RECORD_START_AT).to_pylist()) == [5, 10]
    tables.batch([Event(1, 12, said("Bob"))])
    assert versions_in(tables) == {
        Version(1, ("Alice", "b", None), 5, 12),
        Version(1, ("Bob", None, None), 12, 15),
        Version(1, ("Alice", "c", None), 15, 20),
        Version(1, ("Charlie", None, None), 20, None),
    }


def test_late_events_split_what_is_closed() -> None:
    tables = tables_of()
    tables.batch([Event(1, 10, said("a")), Event(1, 20, None)])
    assert versions_in(tables) == {Version(1, ("a", None, None), 10, 20)}
    tables.batch([Event(1, 15, said("b"))])
    assert versions_in(tables) == {Version(1, ("a", None, None), 10, 15), Version(1, ("b", None, None), 15, 20)}
    tables.batch([Event(1, 12, None)])
    assert versions_in(tables) == {Version(1, ("a", None, None), 10, 12), Version(1, ("b", None, None), 15, 20)}
    tables.batch([Event(1, 13, said("c"))])
    assert versions_in(tables) == {
        Version(1, ("a", None, None), 10, 12),
        Version(1, ("c", None, None), 13, 15),
        Version(1, ("b", None, None), 15, 20),
    }


def test_what_a_forgotten_tombstone_closed_stays_closed() -> None:
    tables = tables_of()
    tables.batch([Event(1, 10, said("a")), Event(1, 20, None)])
    tables.auxiliary = tables.auxiliary.slice(0, 0)
    tables.batch([Event(1, 30, said("b"))])
    assert versions_in(tables) == {Version(1, ("a", None, None), 10, 20), Version(1, ("b", None, None), 30, None)}
    tables.batch([Event(1, 5, said("c"))])
    tables.batch([Event(1, 15, None)])
    tables.batch([Event(1, 17, said("d"))])
    assert versions_in(tables) == {
        Version(1, ("c", None, None), 5, 10),
        Version(1, ("a", None, None), 10, 15),
        Version(1, ("d", None, None), 17, 20),
        Version(1, ("b", None, None), 30, None),
    }


def test_events_that_were_there_before_change_nothing() -> None:
    tables = tables_of(tracked=["name"], ignore_nulls=["city"])
    events = [
        Event(1, 1, said("a", "x")), Event(1, 2, said("a")), Event(1, 3, None), Event(1, 4, said("b")),
        Event(2, 1, None), Event(2, 2, said("c", "y")), Event(2, 9, said("c")),
    ]  # fmt: skip
    tables.batch(events)
    tables.batch([])
    change = tables.batch(events)
    assert change.target.empty
    assert change.auxiliary.empty


@pytest.mark.parametrize(
    ("kind", "times"),
    [
        (pa.string(), ["9", "Z", "a", "ä"]),
        (pa.binary(), [b"", b"\x00", b"\x00\x01", b"\xff"]),
        (pa.decimal128(10, 2), [Decimal(n) for n in ("-5.00", "-1.00", "0.00", "30.00")]),
        (pa.float64(), [float("-inf"), -0.5, 0.0, float("nan")]),
        (pa.timestamp("us", "UTC"), [-1, 0, 1, 10**15]),
        (pa.date32(), [-1, 0, 1, 20_000]),
        (pa.struct([("a", pa.int32()), ("b", pa.string())]), [(1, None), (1, "b"), (2, None), (2, "a")]),
    ],
    ids=str,
)
def test_sequences_of_any_type_that_has_an_order(kind: pa.DataType, times: list[Any]) -> None:
    if pa.types.is_temporal(kind):
        times = pa.array(times, pa.int32() if pa.types.is_date(kind) else pa.int64()).cast(kind).to_pylist()
    tables = tables_of(sequence=kind)
    for place in (2, 0, 3, 1):
        tables.batch([Event(7, times[place], said(str(place)))])
    expected = {
        Version(7, (str(place), None, None), times[place], times[place + 1] if place < 3 else None)
        for place in range(4)
    }
    found = {(v.values, repr(v.start), repr(v.end)) for v in versions_in(tables)}
    assert found == {(v.values, repr(v.start), repr(v.end)) for v in expected}


def nested(rows: list[tuple[int, Any, Any, Any]]) -> list[tuple[Any, ...]]:
    """The versions of key 1 after batches of one event each (sequence, struct, list, map), with nulls ignored."""
    address = pa.struct([("street", pa.string()), ("zip", pa.struct([("code", pa.int32()), ("more", pa.string())]))])
    fields = {"a": address, "tags": pa.list_(pa.string()), "m": pa.map_(pa.string(), pa.int32())}
    columns = pa.schema([pa.field("id", pa.int64()), *(pa.field(name, kind) for name, kind in fields.items())])
    tables = tables_of(list(fields), list(fields), columns=columns)
    for at, *values in rows:
        tables.batch([Event(1, at, dict(zip(fields, values, strict=True)))])
    return sorted((r[START_AT], r["a"], r["tags"], r["m"]) for r in tables.target.to_pylist())


def test_ignored_nulls_inside_structs_are_ignored_leaf_by_leaf() -> None:
    first = (1, {"street": "s", "zip": {"code": 1, "more": None}}, ["t"], [("k", 1)])
    third = (3, {"street": None, "zip": {"code": 3, "more": None}}, None, None)
    expected = [
        (1, {"street": "s", "zip": {"code": 1, "more": None}}, ["t"], [("k", 1)]),
        (2, {"street": "s", "zip": {"code": 1, "more": "m"}}, ["t"], [("k", 2)]),
        (3, {"street": "s", "zip": {"code": 3, "more": "m"}}, ["t"], [("k", 2)]),
    ]
    second = (2, {"street": None, "zip": {"code": None, "more": "m"}}, None, [("k", 2)])
    assert nested([first, second, third]) == expected
    assert nested([third, second, first]) == expected
    assert nested([second, third, second, first]) == expected
    assert nested([(1, None, None, None), (2, None, ["u"], None)]) == [(1, None, None, None), (2, None, ["u"], None)]


@given(
    said_at=st.dictionaries(st.tuples(st.integers(0, 2), st.integers(0, 8)), st.one_of(VALUES, st.none()), max_size=12),
    data=st.data(),
)
def test_current_versions_are_the_rows_of_type_1(
    said_at: dict[tuple[int, int], Values | None], data: st.DataObject
) -> None:
    """What Spark's `AutoCdcCrossScdConvergenceSuite` holds."""
    events = [Event(key, at, values) for (key, at), values in said_at.items()]
    order = data.draw(st.permutations(events))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(order)), max_size=3)))
    two, one = tables_of(), Tables(flow(stored_as=ScdType.TYPE_1), Scd1())
    for first, last in zip([0, *cuts], [*cuts, len(order)], strict=True):
        for tables in (one, two):
            tables.batch(order[first:last], crash=data.draw(st.booleans()))
            tables.batch(order[first:last])
    current = {(v.key, *v.values) for v in versions_in(two) if v.end is None}
    assert current == {(row["id"], *(row[name] for name in DATA)) for row in one.target.to_pylist()}
