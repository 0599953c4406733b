"""SCD type 1 leaf by leaf, and truncates: any order and any cut gives the table that plain Python gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riacho.server.graph.cdc.definition import ScdType
from riacho.server.graph.cdc.scd1_leaves import Scd1Leaves
from tests.unit.server.graph.cdc.model import Event, Values, rows
from tests.unit.server.graph.cdc.tables import DATA, Tables, flow

VALUES = st.fixed_dictionaries(
    {
        "name": st.sampled_from([None, "a", "b"]),
        "city": st.sampled_from([None, "x", "y"]),
        "n": st.sampled_from([None, 0.0, 1.5]),
    }
)


def tables_of(ignore_nulls: Sequence[str] = ()) -> Tables:
    return Tables(flow(ignore_nulls=ignore_nulls, stored_as=ScdType.TYPE_1), Scd1Leaves())


def rows_in(tables: Tables) -> dict[Any, tuple[Any, ...]]:
    found = tables.target.to_pylist()
    by_key = {row["id"]: tuple(row[name] for name in DATA) for row in found}
    assert len(by_key) == len(found)
    return by_key


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    upserts = draw(st.dictionaries(st.tuples(st.integers(0, 2), st.integers(0, 8)), VALUES, max_size=12))
    deletes = draw(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 8)), max_size=4))
    truncates = draw(st.lists(st.integers(0, 8), max_size=2))
    return [
        *(Event(key, at, values) for (key, at), values in upserts.items()),
        *(Event(key, at, None) for key, at in deletes),
        *(Event(0, at, None, truncates=True) for at in truncates),
    ]


@given(data=st.data(), events=histories())
@pytest.mark.parametrize("ignore_nulls", [(), DATA, ("name", "n")], ids=["no", "all", "some"])
def test_any_order_and_any_cut_gives_the_same_table(
    ignore_nulls: Sequence[str], data: st.DataObject, events: list[Event]
) -> None:
    again = data.draw(st.lists(st.sampled_from(events), max_size=4)) if events else []
    order = data.draw(st.permutations([*events, *again]))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(order)), max_size=5)))
    tables = tables_of(ignore_nulls)
    for first, last in zip([0, *cuts], [*cuts, len(order)], strict=True):
        batch = order[first:last]
        for _ in range(data.draw(st.integers(0, 2))):
            tables.batch(batch, crash=True)
        change = tables.batch(batch)
        counts = change.counts
        assert counts.upserted + counts.deleted + counts.late + counts.duplicate == len(batch)
    assert rows_in(tables) == rows(events, DATA, ignore_nulls)
    tables.batch(order)
    assert rows_in(tables) == rows(events, DATA, ignore_nulls)


def said(name: str | None = None, city: str | None = None, n: float | None = None) -> Values:
    return {"name": name, "city": city, "n": n}


def test_a_late_event_says_what_no_newer_one_has_said() -> None:
    tables = tables_of(DATA)
    tables.batch([Event(1, 10, said("a")), Event(1, 30, said(city="x"))])
    assert rows_in(tables) == {1: ("a", "x", None)}
    tables.batch([Event(1, 20, said("b", "late", 1.0))])
    assert rows_in(tables) == {1: ("b", "x", 1.0)}
    tables.batch([Event(1, 25, None)])
    assert rows_in(tables) == {1: (None, "x", None)}
    tables.batch([Event(1, 24, said("c", "c", 2.0)), Event(1, 26, said("d"))])
    assert rows_in(tables) == {1: ("d", "x", None)}


def test_what_is_older_than_a_truncate_stays_away() -> None:
    tables = tables_of()
    tables.batch([Event(1, 10, said("a")), Event(2, 20, said("b")), Event(3, 30, said("c"))])
    tables.batch([Event(9, 20, None, truncates=True)])
    assert rows_in(tables) == {2: ("b", None, None), 3: ("c", None, None)}
    tables.batch([Event(1, 15, said("late")), Event(4, 19, said("late")), Event(5, 21, said("new"))])
    assert set(rows_in(tables)) == {2, 3, 5}
