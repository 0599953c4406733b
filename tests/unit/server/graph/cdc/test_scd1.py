"""SCD type 1 against a few lines of plain Python, over random histories cut into batches anywhere."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riacho.protos import pb
from riacho.server.graph.cdc.changes import CdcCounts, CdcEvents, RowChange
from riacho.server.graph.cdc.definition import METADATA, AutoCdc, CdcFlow
from riacho.server.graph.cdc.scd1 import Scd1
from riacho.server.graph.names import Identifier

SELECTED = pa.schema([("k", pa.int64()), ("v", pa.string())])
Event = tuple[Any, Any, bool, Any]
"""Key, place in the sequence, whether it deletes, value."""


def flow_of(selected: pa.Schema = SELECTED, sequence: pa.DataType | None = None) -> CdcFlow:
    definition = AutoCdc(Identifier(("s",)), ("k",), pb.Expression())
    return CdcFlow(definition, ("k",), selected, sequence or pa.int64())


def events_of(flow: CdcFlow, batch: Sequence[Event]) -> CdcEvents:
    keys, places, deletes, values = (list(column) for column in zip(*batch, strict=True)) if batch else ([],) * 4
    columns = {"k": pa.array(keys, flow.selected.field("k").type), "v": pa.array(values, pa.string())}
    return CdcEvents(
        pa.table(columns),
        pa.chunked_array([pa.array(places, flow.sequence)]),
        np.array(deletes, dtype=np.bool_),
        np.zeros(len(keys), dtype=np.bool_),
    )


@dataclass
class Tables:
    """A target and its auxiliary table, in memory."""

    flow: CdcFlow
    target: pa.Table
    auxiliary: pa.Table
    counts: list[CdcCounts] = field(default_factory=list)

    @classmethod
    def empty(cls, flow: CdcFlow) -> Tables:
        target, auxiliary = Scd1().target_schema(flow), Scd1().auxiliary_schema(flow)
        return cls(flow, target.empty_table(), auxiliary.empty_table())

    def apply(self, batch: Sequence[Event], *, cut_off: bool = False) -> None:
        """`cut_off`: only the auxiliary table has the batch, then all of it runs again."""
        events = events_of(self.flow, batch)
        change = Scd1().apply(self.flow, events, self.target, self.auxiliary)
        self.auxiliary = changed(self.auxiliary, change.auxiliary)
        if cut_off:
            change = Scd1().apply(self.flow, events, self.target, self.auxiliary)
        self.target = changed(self.target, change.target)
        self.counts.append(change.counts)

    def rows(self) -> dict[Any, tuple[Any, Any]]:
        return {row["k"]: (row[METADATA]["upsertSequence"], row["v"]) for row in self.target.to_pylist()}

    def tombstones(self) -> dict[Any, Any]:
        return {row["k"]: row[METADATA]["deleteSequence"] for row in self.auxiliary.to_pylist()}


def changed(table: pa.Table, change: RowChange) -> pa.Table:
    kept = np.ones(table.num_rows, dtype=np.bool_)
    kept[change.deleted] = kept[change.updated] = False
    return pa.concat_tables([table.filter(pa.array(kept)), change.replacements, change.inserted])


def expected(batches: Iterable[Sequence[Event]]) -> dict[int, tuple[int, str]]:
    """What the target is to hold: the newest event of each key, an upsert before a delete, the last of equal ones."""
    newest: dict[int, Event] = {}
    for event in (event for batch in batches for event in batch):
        old = newest.get(event[0])
        if old is None or (event[1], not event[2]) >= (old[1], not old[2]):
            newest[event[0]] = event
    return {key: (place, value) for key, place, deletes, value in newest.values() if not deletes}


events = st.tuples(st.integers(0, 4), st.integers(0, 6), st.booleans(), st.sampled_from("abcdefgh"))
histories = st.lists(st.lists(events, max_size=6), max_size=8)


@given(histories, st.data())
def test_random_histories(batches: list[list[Event]], data: st.DataObject) -> None:
    tables = Tables.empty(flow_of())
    for batch in batches:
        tables.apply(batch, cut_off=data.draw(st.booleans()))
        for _ in range(data.draw(st.integers(0, 1))):
            tables.apply(batch)  # the same events again
    assert tables.rows() == expected(batches)


@given(st.permutations([(k, s, s % 3 == 0, f"{k}{s}") for k in range(3) for s in range(5)]), st.integers(1, 15))
def test_the_order_in_which_events_come_does_not_matter(history: list[Event], size: int) -> None:
    tables = Tables.empty(flow_of())
    for at in range(0, len(history), size):
        tables.apply(history[at : at + size])
    assert tables.rows() == expected([history])


@given(histories)
def test_each_event_is_counted_once(batches: list[list[Event]]) -> None:
    tables = Tables.empty(flow_of())
    for batch in batches:
        tables.apply(batch)
        counts = tables.counts[-1]
        assert counts.upserted + counts.deleted + counts.late + counts.duplicate == len(batch)


def test_what_becomes_of_events_and_tombstones() -> None:
    tables = Tables.empty(flow_of())
    tables.apply([(1, 1, False, "a"), (2, 2, False, "b"), (3, 5, True, "")])
    assert tables.counts[-1] == CdcCounts(upserted=2, deleted=1)
    tables.apply([(1, 1, True, ""), (2, 3, True, ""), (3, 4, False, "late"), (4, 4, False, "1"), (4, 4, False, "2")])
    assert tables.counts[-1] == CdcCounts(upserted=1, deleted=1, late=2, duplicate=1)
    assert tables.rows() == {1: (1, "a"), 4: (4, "2")}
    assert tables.tombstones() == {1: 1, 2: 3, 3: 5}, "a delete that came too late leaves one too, as in Spark"
    tables.apply([(3, 5, False, "again"), (2, 2, False, "late")])
    assert tables.rows() == {1: (1, "a"), 3: (5, "again"), 4: (4, "2")}
    assert tables.tombstones() == {1: 1, 2: 3}


def test_columns_that_the_events_lack_keep_their_values_and_new_rows_have_null() -> None:
    tables = Tables.empty(flow_of())
    tables.apply([(1, 1, False, "a")])
    tables.target = tables.target.add_column(1, "old", pa.array(["kept"]))
    tables.apply([(1, 2, False, "b"), (2, 2, False, "c")])
    assert [(row["k"], row["old"], row["v"]) for row in tables.target.to_pylist()] == [(1, "kept", "b"), (2, None, "c")]


@pytest.mark.parametrize(
    ("kind", "ascending"),
    [
        (pa.float64(), [-math.inf, -1.5, 0.0, 1.5, math.inf, math.nan]),
        (pa.string(), ["", "Z", "a", "ab", "é", "\U0001f600"]),
        (pa.binary(), [b"", b"\x01", b"\x7f", b"\x80"]),
        (pa.bool_(), [False, True]),
        (pa.struct([("a", pa.int32()), ("b", pa.string())]), [
            {"a": None, "b": "z"}, {"a": 1, "b": None}, {"a": 1, "b": "a"}, {"a": 2, "b": None},
        ]),
        (pa.list_(pa.int32()), [[], [None], [1], [1, 0], [2]]),
        (pa.decimal128(20, 2), ["-1.10", "0.00", "2.05"]),
    ],
    ids=str,
)  # fmt: skip
def test_sequences_of_every_type(kind: pa.DataType, ascending: list[Any]) -> None:
    places = pa.array(ascending, pa.string()).cast(kind) if pa.types.is_decimal(kind) else pa.array(ascending, kind)
    flow = flow_of(sequence=kind)
    for newer in range(1, len(ascending)):
        tables = Tables.empty(flow)
        tables.apply([(1, places[newer].as_py(), False, "new")])
        tables.apply([(1, places[newer - 1].as_py(), False, "old")])
        assert [row["v"] for row in tables.target.to_pylist()] == ["new"], ascending[newer - 1 : newer + 1]
        tables.apply([(1, places[newer - 1].as_py(), False, "old"), (1, places[newer].as_py(), True, "")])
        assert [row["v"] for row in tables.target.to_pylist()] == ["new"], "a delete at the same place loses"


@pytest.mark.parametrize(
    ("kind", "same"),
    [
        (pa.float64(), [0.0, -0.0]),
        (pa.float64(), [math.nan, -math.nan]),
        (pa.struct([("a", pa.int32())]), [{"a": None}, {"a": None}]),
    ],
    ids=str,
)
def test_keys_are_equal_as_in_a_grouping(kind: pa.DataType, same: list[Any]) -> None:
    tables = Tables.empty(flow_of(pa.schema([("k", kind), ("v", pa.string())])))
    tables.apply([(same[0], 1, False, "a")])
    tables.apply([(same[1], 2, False, "b"), (same[0], 2, False, "c")])
    assert [row["v"] for row in tables.target.to_pylist()] == ["c"]
