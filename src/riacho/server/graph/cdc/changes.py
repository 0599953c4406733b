"""What a batch of events makes of a target and its auxiliary table: the values between `sink` and the SCD types.

An SCD type is pure: it gets the events and the rows that they may touch, and says which of these rows go, which get
other values, and which rows are new.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from riacho.server.delta.deletion_vectors import Rows
from riacho.server.delta.files import conform
from riacho.server.graph.cdc.definition import CdcFlow

Flags = npt.NDArray[np.bool_]
NOTHING: Rows = np.empty(0, dtype=np.int64)


@dataclass(frozen=True)
class CdcEvents:
    """The events of a batch in the order in which they came. `rows`: the columns that the flow selects."""

    rows: pa.Table
    sequence: pa.ChunkedArray
    deletes: Flags
    truncates: Flags

    def __len__(self) -> int:
        return int(self.rows.num_rows)


@dataclass(frozen=True)
class RowChange:
    """What becomes of the rows of a table that were given, and the rows that are new.

    `deleted` and `updated`: places among the rows given. `replacements`: what the updated ones become, in that order.
    Both `replacements` and `inserted` have the columns of the table.
    """

    deleted: Rows
    updated: Rows
    replacements: pa.Table
    inserted: pa.Table

    @property
    def empty(self) -> bool:
        return not (len(self.deleted) or len(self.updated) or self.inserted.num_rows)


@dataclass(frozen=True)
class CdcCounts:
    """What became of the events of a batch; together they are all of them.

    `late` ones came after a newer one of their key was applied in an earlier batch; `duplicate` ones are of a key for
    which the same batch has a newer event, or the same one again.
    """

    upserted: int = 0
    deleted: int = 0
    late: int = 0
    duplicate: int = 0


@dataclass(frozen=True)
class CdcChange:
    """What a batch makes of both tables."""

    target: RowChange
    auxiliary: RowChange
    counts: CdcCounts


class Strategy(Protocol):
    """An SCD type. Without state: all it knows of the past is in the two tables."""

    def target_schema(self, flow: CdcFlow) -> pa.Schema:
        """The columns that the target has for this flow."""

    def auxiliary_schema(self, flow: CdcFlow) -> pa.Schema:
        """The columns of the auxiliary table; the keys come first, in the order in which the flow names them."""

    def apply(self, flow: CdcFlow, events: CdcEvents, target: pa.Table, auxiliary: pa.Table) -> CdcChange:
        """What the events make of the tables.

        `target` and `auxiliary` hold all rows of the keys that the events have (of the target all rows, if an event
        truncates it), with all columns that the tables have, which may be more than the flow has. No key and no
        sequence is NULL. With the auxiliary table as this batch leaves it, the target's change must be the same: the
        batch may have been cut off between the two.
        """


def new_rows(schema: pa.Schema, rows: int, columns: Mapping[str, pa.Array | pa.ChunkedArray]) -> pa.Table:
    """`rows` rows with the columns of `schema`: those given, found by their names in any case, the others NULL."""
    given = {name.lower(): column for name, column in columns.items()}
    arrays = [_fitted(given.get(field.name.lower()), field.type, rows) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def replaced(rows: pa.Table, columns: Mapping[str, pa.Array | pa.ChunkedArray]) -> pa.Table:
    """`rows` with other values in some columns, found by their names in any case; other columns stay."""
    known = {name.lower(): rows.column(name) for name in rows.schema.names}
    return new_rows(rows.schema, rows.num_rows, {**known, **{name.lower(): c for name, c in columns.items()}})


def field_of(structs: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """A field of a column of structs; NULL where the struct is."""
    return pc.struct_field(structs, name)


def unchanged(table: pa.Table) -> RowChange:
    """Nothing."""
    none = table.schema.empty_table()
    return RowChange(NOTHING, NOTHING, none, none)


def _fitted(column: pa.Array | pa.ChunkedArray | None, kind: pa.DataType, rows: int) -> pa.Array:
    if column is None:
        return pa.nulls(rows, kind)
    return conform(column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column, kind)
