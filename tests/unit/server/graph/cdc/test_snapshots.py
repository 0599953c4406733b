"""Snapshots: the target is the last snapshot, and its history what snapshots said one after another."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riacho.errors import AnalysisError
from riacho.server.graph.cdc.changes import RowChange, Strategy
from riacho.server.graph.cdc.definition import END_AT, METADATA, START_AT, CdcFlow, ScdType
from riacho.server.graph.cdc.scd1 import Scd1
from riacho.server.graph.cdc.scd2 import Scd2
from riacho.server.graph.cdc.snapshots import change_of
from tests.unit.server.graph.cdc.model import Event, versions
from tests.unit.server.graph.cdc.tables import COLUMNS, DATA, Touched, flow

ROWS = st.dictionaries(
    st.integers(0, 3),
    st.fixed_dictionaries(
        {
            "name": st.sampled_from([None, "a", "b"]),
            "city": st.sampled_from([None, "x"]),
            "n": st.sampled_from([None, 0.0]),
        }
    ),
)


def applied(of: CdcFlow, strategy: Strategy, snapshots: list[dict[int, Any]]) -> pa.Table:
    target = strategy.target_schema(of).empty_table()
    for version, rows in enumerate(snapshots):
        table = pa.Table.from_pylist([{"id": key, **values} for key, values in rows.items()], schema=COLUMNS)
        change, counts = change_of(of, table, pa.scalar(version, pa.int64()), target)
        before, target = target, Touched(target, None).changed(change)
        again, none = change_of(of, table, pa.scalar(version, pa.int64()), target)
        assert again.empty
        assert (none.upserted, none.deleted) == (0, 0)
        assert counts.deleted == len({r["id"] for r in before.to_pylist() if r.get(END_AT) is None} - set(rows))
    return target


@given(st.lists(ROWS, max_size=5))
def test_type_1_has_the_last_snapshot(snapshots: list[dict[int, Any]]) -> None:
    of = flow(stored_as=ScdType.TYPE_1)
    target = applied(of, Scd1(), snapshots)
    last = snapshots[-1] if snapshots else {}
    found = {row["id"]: {name: row[name] for name in DATA} for row in target.to_pylist()}
    assert found == last
    since = {row["id"]: row[METADATA]["upsertSequence"] for row in target.to_pylist()}
    for key, version in since.items():
        assert all(snapshot.get(key) == last[key] for snapshot in snapshots[version:])
        assert version == 0 or snapshots[version - 1].get(key) != last[key]


@given(st.lists(ROWS, max_size=5))
@pytest.mark.parametrize("tracked", [None, ("name",)], ids=["all", "one"])
def test_type_2_has_what_the_changes_between_snapshots_give(
    tracked: tuple[str, ...] | None, snapshots: list[dict[int, Any]]
) -> None:
    events = []
    for version, (before, after) in enumerate(zip([{}, *snapshots], snapshots, strict=False)):
        events += [Event(key, version, None) for key in before.keys() - after.keys()]
        events += [Event(key, version, values) for key, values in after.items() if before.get(key) != values]
    expected = versions(events, DATA, tracked or DATA, (), lambda values: 0)
    target = applied(flow(tracked), Scd2(), snapshots)
    found = {(r["id"], tuple(r[name] for name in DATA), r[START_AT], r[END_AT]) for r in target.to_pylist()}
    assert found == {(v.key, v.values, v.start, v.end) for v in expected}
    assert len(target) == len(expected)


def test_a_key_is_there_once_and_is_not_null() -> None:
    of = flow(stored_as=ScdType.TYPE_1)
    target = Scd1().target_schema(of).empty_table()
    twice = pa.Table.from_pylist([{"id": 1}, {"id": 2}, {"id": 1}], schema=COLUMNS)
    with pytest.raises(AnalysisError, match=r"AUTOCDC_SNAPSHOT_DUPLICATE_KEYS.*'id': 1"):
        change_of(of, twice, pa.scalar(1), target)
    missing = pa.Table.from_pylist([{"id": None}], schema=COLUMNS)
    with pytest.raises(AnalysisError, match="NULL_KEY"):
        change_of(of, missing, pa.scalar(1), target)


def test_a_column_that_came_later_was_null_before() -> None:
    of = flow()
    target = applied(
        of, Scd2(), [{1: {"name": "a", "city": None, "n": None}, 2: {"name": "b", "city": None, "n": None}}]
    )
    more = COLUMNS.append(pa.field("extra", pa.string()))
    wider = replace(of, selected=more)
    rows = [{"id": 1, "name": "a", "extra": "new"}, {"id": 2, "name": "b"}]
    evolved = target.append_column("extra", pa.nulls(len(target), pa.string()))
    change, _ = change_of(wider, pa.Table.from_pylist(rows, schema=more), pa.scalar(7), evolved)
    assert isinstance(change, RowChange)
    assert change.inserted["extra"].to_pylist() == ["new"]
    assert len(change.updated) == 1
