"""Flows, events and tables in memory, for the tests of AUTO CDC."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from riacho.server.graph.cdc.changes import CdcChange, CdcEvents, RowChange, Strategy
from riacho.server.graph.cdc.definition import AutoCdc, CdcFlow, ColumnSelection, ScdType
from riacho.server.graph.names import Identifier
from riacho.server.plan import build
from tests.unit.server.graph.cdc.model import Event

COLUMNS = pa.schema([("id", pa.int64()), ("name", pa.string()), ("city", pa.string()), ("n", pa.float64())])
DATA = ("name", "city", "n")


def flow(
    tracked: Sequence[str] | None = None,
    ignore_nulls: Sequence[str] = (),
    sequence: pa.DataType | None = None,
    columns: pa.Schema = COLUMNS,
    stored_as: ScdType = ScdType.TYPE_2,
) -> CdcFlow:
    definition = AutoCdc(
        source=Identifier(("c", "d", "source")),
        keys=("id",),
        sequence_by=build.col("at"),
        stored_as=stored_as,
        ignore_nulls=ColumnSelection(tuple(ignore_nulls)) if ignore_nulls else None,
        track_history=None if tracked is None else ColumnSelection(tuple(tracked)),
    )
    return CdcFlow(definition, ("id",), columns, sequence or pa.int64())


class Tables:
    """The two tables of a flow, in memory; with `crash` a batch ends after its first commit."""

    def __init__(self, of: CdcFlow, strategy: Strategy) -> None:
        self.strategy = strategy
        self.flow = of
        self.target = self.strategy.target_schema(of).empty_table()
        self.auxiliary = self.strategy.auxiliary_schema(of).empty_table()

    def batch(self, events: Sequence[Event], *, crash: bool = False) -> CdcChange:
        keys = pa.array([*{event.key for event in events}, None], COLUMNS.field("id").type)
        target = Touched(self.target, None if any(event.truncates for event in events) else keys)
        auxiliary = Touched(self.auxiliary, keys)
        change = self.strategy.apply(self.flow, arrow(events, self.flow), target.rows, auxiliary.rows)
        self.auxiliary = auxiliary.changed(change.auxiliary)
        if not crash:
            self.target = target.changed(change.target)
        return change


class Touched:
    """The rows of a table with some keys, and the table after a change of them."""

    def __init__(self, table: pa.Table, keys: pa.Array | None) -> None:
        mine = pc.is_in(table["id"], value_set=keys) if keys is not None else pc.is_valid(table["id"])
        self.rows = table.filter(mine)
        self._others = table.filter(pc.invert(mine))

    def changed(self, change: RowChange) -> pa.Table:
        gone = set(change.deleted.tolist()) | set(change.updated.tolist())
        stay = [place for place in range(len(self.rows)) if place not in gone]
        stays = self.rows.take(pa.array(stay, pa.int64()))
        return pa.concat_tables([self._others, stays, change.replacements, change.inserted])


def arrow(events: Sequence[Event], of: CdcFlow) -> CdcEvents:
    columns = of.selected
    rows = [{"id": event.key, **(event.values or {})} for event in events]
    names = [f.name for f in of.sequence] if pa.types.is_struct(of.sequence) else []
    times = [dict(zip(names, e.sequence, strict=True)) if names else e.sequence for e in events]
    deletes = np.array([event.values is None for event in events], dtype=np.bool_)
    table = pa.Table.from_pylist(rows, schema=columns)
    truncates = np.array([event.truncates for event in events], dtype=np.bool_)
    return CdcEvents(table, pa.chunked_array([pa.array(times, of.sequence)]), deletes, truncates)
