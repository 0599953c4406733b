"""Late rows kept in a Delta table, where otherwise they would be lost.

With `riacho.watermark.lateRows` each row that a stateful operator drops as late is appended to that table: the row as
it came into the operator, and in `_late` what is needed to understand why it is there.

    ts      k   v    _late
    00:04   a   5    {query_id …, batch_id 3, operator 0, operator_name stateStoreSave, side NULL,
                      event_time 00:10, watermark 00:19}

A row of a sliding window is there once for each window that it missed, as it is counted once for each that it is in
time for. Operators share the table: columns of one name are one column, and a row has NULL in those it does not have.

A batch's late rows are one version of the table, committed before the sink takes the batch, with a `txn` action of
the query's id and the batch's number as the Delta sink's has. So a batch that runs again after a crash, wherever that
was, finds its number there and writes nothing; and whoever sees a batch in the sink can see its late rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import pyarrow as pa

from riacho import storage, types
from riacho.clock import Clock
from riacho.errors import AnalysisError
from riacho.ids import BatchId, QueryId
from riacho.protos import pb
from riacho.server.delta.write import AppTransaction, DeltaOperation, RowWriter, WriteMode, plan_write
from riacho.server.delta.writer import DeltaWriter
from riacho.server.engine.base import EngineSession
from riacho.server.engine.spool import empty
from riacho.server.plan import build

NOTE = "_late"
"""The column that says why a row is in the table."""
NOTE_TYPE = pa.struct(
    [
        ("query_id", pa.string()),
        ("query_name", pa.string()),
        ("batch_id", pa.int64()),
        ("operator", pa.int64()),
        ("operator_name", pa.string()),
        ("side", pa.string()),
        ("event_time", pa.timestamp("us", "UTC")),
        ("watermark", pa.timestamp("us", "UTC")),
    ]
)
_SIDES = ("left", "right")

Place = tuple[int, int]
"""An operator by its number in the plan, and one of its inputs."""


@dataclass(frozen=True)
class LateRows:
    """Rows that an operator dropped from one of its inputs.

    `rows` has as its first column the time that counted, or with `is_window` the window whose end did; then the
    columns of the input, in order, under any names. Rows in time may still be among them.
    """

    input: int
    rows: pb.Relation
    is_window: bool = False


@dataclass(frozen=True)
class DroppedRows:
    """What an operator dropped in a batch, and the watermark that made it late."""

    operator: int
    operator_name: str
    watermark_us: int
    late: LateRows


@dataclass(frozen=True)
class LateTarget:
    """Where the late rows of a query go. `query_name`: None if it has none."""

    table: storage.Place
    query_name: str | None
    clock: Clock


class LateTable:
    """The table, open for one query run. `inputs`: the columns at each place where rows can be late; see `lay_out`.

    Made, and given the columns it lacks, when the query starts, so that what does not fit is refused there: raises
    DELTA_FAILED_TO_MERGE_FIELDS, and what writing to a Delta table raises.
    """

    def __init__(
        self, target: LateTarget, query_id: QueryId, inputs: Mapping[Place, pa.Schema], session: EngineSession
    ) -> None:
        self._target = target
        self._query_id = query_id
        self._sides = {operator for operator, number in inputs if number > 0}
        columns, names = lay_out(list(inputs.values()))
        self._names = dict(zip(inputs, names, strict=True))
        self._schema = columns.append(pa.field(NOTE, NOTE_TYPE))
        mode = WriteMode(merge_schema=True)
        writer = DeltaWriter(target.table)
        self._rows = RowWriter(writer, session, mode, target.clock)
        if inputs and plan_write(target.table, writer.state(), self._schema, mode).fit.grown:
            self._rows.write([empty(self._schema)], self._schema, self._operation("start"))

    def write(self, batch_id: BatchId, drops: Sequence[DroppedRows]) -> None:
        """Append what was dropped in a batch, once. Raises SparkError, EngineLost."""
        relation = reduce(build.union, (self._described(drop, batch_id) for drop in drops))
        numbered = AppTransaction(f"{self._query_id}/late", batch_id)
        self._rows.write([relation], self._schema, self._operation(str(batch_id)), numbered)

    def _operation(self, epoch: str) -> DeltaOperation:
        return DeltaOperation(
            "STREAMING UPDATE", {"outputMode": "Append", "queryId": f"{self._query_id}/late", "epochId": epoch}
        )

    def _described(self, drop: DroppedRows, batch_id: BatchId) -> pb.Relation:
        """The rows that were late, with the table's columns."""
        names = self._names[drop.operator, drop.late.input]
        places = {name: f"c{i}" for i, name in enumerate(names)}
        renamed = pb.Relation(to_df=pb.ToDF(input=drop.late.rows, column_names=["time", *places.values()]))
        time = build.field_of(build.col("time"), "end") if drop.late.is_window else build.col("time")
        watermark = build.timestamp(drop.watermark_us)
        rows = build.where(renamed, build.call("<=", time, watermark))
        columns = [
            build.alias(build.col(places[f.name]) if f.name in places else build.cast(build.null(), f.type), f.name)
            for f in self._schema
            if f.name != NOTE
        ]
        values = (
            build.text(self._query_id),
            build.null() if self._target.query_name is None else build.text(self._target.query_name),
            build.integer(batch_id),
            build.integer(drop.operator),
            build.text(drop.operator_name),
            build.text(_SIDES[drop.late.input]) if drop.operator in self._sides else build.null(),
            time,
            watermark,
        )
        parts = [
            part
            for field, value in zip(NOTE_TYPE, values, strict=True)
            for part in (build.text(field.name), build.cast(value, field.type))
        ]
        return build.project(rows, [*columns, build.alias(build.call("named_struct", *parts), NOTE)])


def lay_out(inputs: Sequence[pa.Schema]) -> tuple[pa.Schema, list[list[str]]]:
    """The columns of a table for rows of several inputs, and for each input under which names its columns go there.

    Columns of one name, whatever its case, are one column. Where one input has a name twice, as above a join, the
    second is called `k_2`; so is a column that is itself called `_late`. Raises DELTA_FAILED_TO_MERGE_FIELDS where
    inputs have columns of one name and different types.
    """
    fields: dict[str, pa.Field] = {}
    layouts: list[list[str]] = []
    for schema in inputs:
        taken = {NOTE}
        names: list[str] = []
        for field in types.nullable(types.normalise_schema(schema)):
            name, number = field.name, 1
            while name.lower() in taken:
                number += 1
                name = f"{field.name}_{number}"
            taken.add(name.lower())
            known = fields.setdefault(name.lower(), field.with_name(name))
            if known.type != field.type:
                raise _conflict(known, field)
            names.append(known.name)
        layouts.append(names)
    return pa.schema(list(fields.values())), layouts


def _conflict(one: pa.Field, other: pa.Field) -> AnalysisError:
    return AnalysisError.of(
        "DELTA_FAILED_TO_MERGE_FIELDS",
        f"Failed to merge fields '{one.name}' and '{other.name}': late rows of this query go to one table, but its "
        f"stateful operators have columns of that name with the types {types.type_to_ddl(one.type)} and "
        f"{types.type_to_ddl(other.type)}. Rename one of them before the operator.",
        sql_state="22005",
        currentField=one.name,
        updateField=other.name,
    )
