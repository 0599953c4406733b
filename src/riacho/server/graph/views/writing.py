"""Give a view its rows, in one commit: only those that differ if they are few enough to be compared, else all.

A view that is computed anew often has most of its rows, or all, already. That they are not written again spares those
who read it the same work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

import pyarrow as pa

from riacho import types
from riacho.clock import Clock
from riacho.protos import pb
from riacho.server.catalog.base import Table
from riacho.server.delta.changes import require_files
from riacho.server.delta.constraints import Demands
from riacho.server.delta.state import TableState
from riacho.server.delta.write import DeltaOperation, RowWriter, WriteMode, Written
from riacho.server.delta.writer import DeltaWriter
from riacho.server.engine.base import EngineSession
from riacho.server.graph.views.difference import OvertakenError, can_compare, write_difference
from riacho.server.graph.views.record import NOTE, ViewContents
from riacho.server.plan.walk import walk
from riacho.server.sql.pieces import outside
from riacho.server.sql.tokens import tokenize

FEW_ROWS: Final = 100_000
"""Rows of a view that are compared although all of them were computed anew."""
MANY_ROWS: Final = 1_000_000
"""Rows of a view that are compared if a small part of them is known to have changed."""

_ORDER: Final = frozenset({"ORDER"})

Check = Callable[[TableState], None]
"""Told of the table that a version is to follow; raises if it must not."""


def settle(
    writer: DeltaWriter,
    table: Table,
    relation: pb.Relation,
    schema: pa.Schema,
    engine: EngineSession,
    clock: Clock,
    record: ViewContents | None,
    check: Check,
    *,
    most: int = MANY_ROWS,
) -> Written:
    """Make the rows of `relation`, whose columns are `schema`, the only rows of a view; `writer` has its files.

    They are compared with those that are there, if there are any, and neither are more than `most`. If they are the
    same, and there is a `record`, only that is committed. Raises what `check` raises, and what the writes raise.
    """
    state = writer.state()
    if state is not None and not _is_ordered(relation) and _is_comparable(state, table, schema, most):
        rows = _collected(engine, relation, most)
        if rows is not None:
            try:
                written = write_difference(writer, rows, engine, clock, operation_of("Overwrite", record), check)
            except OvertakenError:
                return overwrite(table, [relation], schema, engine, clock, record, check)
            if written.version is not None or record is None:
                return written
            nothing = RowWriter(writer, engine, WriteMode(), clock)
            return nothing.write([], schema, operation_of("Append", record), wanted=_checked(check))
    return overwrite(table, [relation], schema, engine, clock, record, check)


def overwrite(
    table: Table,
    relations: Iterable[pb.Relation],
    schema: pa.Schema,
    engine: EngineSession,
    clock: Clock,
    record: ViewContents | None = None,
    check: Check = lambda _: None,
) -> Written:
    """Make the rows of `relations`, which have the columns `schema`, a view's only rows, in one version."""
    same_columns = _has_columns(table, schema)
    mode = WriteMode(overwrite=True, overwrite_schema=not same_columns, partition_by=table.partition_by)
    writer = RowWriter(DeltaWriter(table.location, with_files=True), engine, mode, clock)
    return writer.write(relations, schema, operation_of("Overwrite", record), wanted=_checked(check))


def operation_of(mode: str, record: ViewContents | None) -> DeltaOperation:
    """What the history says of a view's version, and what its commit says of its rows."""
    notes: Mapping[str, object] = {} if record is None else {NOTE: record.to_json()}
    return DeltaOperation("WRITE", {"mode": mode}, notes)


def _is_comparable(state: TableState, table: Table, schema: pa.Schema, most: int) -> bool:
    if not most or not _has_columns(table, schema) or not can_compare(schema):
        return False
    demands = Demands.of(state.metadata)
    if demands.required or demands.rules or demands.generated:
        return False  # what is written must be checked, or computed
    counts = [file.num_records for file in require_files(state).values()]
    return all(count is not None for count in counts) and 0 < sum(count or 0 for count in counts) <= most


def _is_ordered(relation: pb.Relation) -> bool:
    """Whether a query sorts its rows: then people like to find them in that order, though nothing promises it."""
    for node in walk(relation):
        if node.HasField("sort"):
            return True
        if node.HasField("sql"):
            tokens = tokenize(node.sql.query)
            if next(outside(tokens, 0, len(tokens), _ORDER), None) is not None:
                return True
    return False


def _has_columns(table: Table, schema: pa.Schema) -> bool:
    return bool(types.normalise_schema(table.schema).equals(schema))


def _collected(engine: EngineSession, relation: pb.Relation, most: int) -> pa.Table | None:
    """All rows of a relation; None if there are more."""
    batches: list[pa.RecordBatch] = []
    rows = 0
    for batch in _closing(engine.stream(relation)):
        rows += batch.num_rows
        if rows > most:
            return None
        batches.append(batch)
    table = pa.Table.from_batches(batches)
    return table.cast(types.normalise_schema(table.schema))


def _closing(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    try:
        yield from batches
    finally:
        close = getattr(batches, "close", None)
        if close is not None:
            close()


def _checked(check: Check) -> Callable[[TableState | None, int], bool]:
    def wanted(state: TableState | None, _rows: int) -> bool:
        if state is not None:
            check(state)
        return True

    return wanted
