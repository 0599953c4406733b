"""Make a view have given rows by writing only those that differ: rows that are gone go out, new ones come in.

Rows are compared by a hash of all their values (`state.hashing`); a row may be there several times.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pyarrow as pa

from riacho.clock import Clock
from riacho.server.catalog.row_changes import rewrite
from riacho.server.catalog.row_changes.job import Job as ChangeJob
from riacho.server.catalog.row_changes.job import Runner, TableChange
from riacho.server.catalog.row_changes.scan import by_file, numbered_rows
from riacho.server.delta.state import TableState
from riacho.server.delta.write import DeltaOperation, Written
from riacho.server.delta.writer import DeltaWriter
from riacho.server.engine.base import EngineSession
from riacho.server.state.hashing import KeyHash, hash_keys, members

Check = Callable[[TableState], None]
"""Told of the table that a version is to follow; raises if it must not."""


@dataclass(frozen=True)
class Difference:
    """`gone`: the places of rows among those that were there; `new`: of rows among those that are to be there."""

    gone: np.ndarray
    new: np.ndarray


def difference(old: pa.Table, new: pa.Table) -> Difference:
    """What tells two tables of the same columns apart. No I/O."""
    before, after = _numbered(old), _numbered(new)
    return Difference(np.flatnonzero(~members(before, after)), np.flatnonzero(~members(after, before)))


def _numbered(table: pa.Table) -> KeyHash:
    """A hash for each row: equal rows of one table have different ones, the first of two tables the same."""
    rows = hash_keys([_exactly(column) for column in table.columns], table.num_rows)
    order = np.lexsort((rows.low, rows.high))
    high, low = rows.high[order], rows.low[order]
    starts = np.ones(len(order), dtype=np.bool_)
    starts[1:] = (high[1:] != high[:-1]) | (low[1:] != low[:-1])
    first = np.maximum.accumulate(np.where(starts, np.arange(len(order)), 0))
    times = np.empty(len(order), dtype=np.int64)
    times[order] = np.arange(len(order)) - first
    return hash_keys([pa.array(rows.high), pa.array(rows.low), pa.array(times)], table.num_rows)


def _exactly(column: pa.ChunkedArray) -> pa.Array:
    """The column so that 0.0 and -0.0, which are the same key, have different hashes."""
    values = column.combine_chunks()
    if not pa.types.is_floating(values.type):
        return values
    return values.view(f"int{values.type.bit_width}")


class OvertakenError(Exception):
    """Somebody else wrote to the table while its rows were compared."""


def can_compare(schema: pa.Schema) -> bool:
    """Whether rows of these columns have a hash. Maps have none: their entries have no order."""
    return not any(_holds_map(field.type) for field in schema)


def _holds_map(kind: pa.DataType) -> bool:
    if pa.types.is_map(kind):
        return True
    return any(_holds_map(kind.field(i).type) for i in range(kind.num_fields))


def write_difference(
    writer: DeltaWriter, rows: pa.Table, engine: EngineSession, clock: Clock, operation: DeltaOperation, check: Check
) -> Written:
    """Make `rows` the only rows of a table, in one version; none if they are that already. `rows` counts what is new.

    The table has the columns of `rows`. Raises OvertakenError, what `check` raises, and as `Runner.apply`.
    """
    written = 0
    version = -1

    def unmoved(state: TableState) -> None:
        if state.version != version:
            raise OvertakenError
        check(state)

    def make(job: ChangeJob, change: TableChange) -> None:
        nonlocal written, version
        snapshot = job.snapshot
        version = snapshot.version
        schema, batches = numbered_rows(snapshot)
        numbered = pa.Table.from_batches(batches, schema)
        wanted = rows.select(snapshot.schema.names).cast(snapshot.schema)
        found = difference(numbered.select(snapshot.schema.names), wanted)
        hits = by_file(numbered.column(numbered.num_columns - 1).combine_chunks().to_numpy()[found.gone])
        new = wanted.take(pa.array(found.new)).to_batches()
        written = len(found.new)
        rewrite.rewrite(snapshot, hits, new, snapshot.schema, change)
        if hits.places:
            before = rewrite.changed(rewrite.rows_of(snapshot, hits, snapshot.schema), rewrite.DELETE)
            rewrite.record(snapshot, chain(before, rewrite.changed(new, rewrite.INSERT)), change)

    applied = Runner(engine, clock).apply(writer, operation, make, check=unmoved)
    return Written(applied.version, written)
