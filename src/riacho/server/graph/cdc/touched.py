"""The rows of a Delta table that have one of some keys, found by reading as little of it as will do.

Files whose statistics rule the keys out are not opened; of the others only the key columns are read, and of the rows
that are meant the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from riacho.server.batch.file_skipping import with_wanted_rows
from riacho.server.batch.read_filters import ReadFilter
from riacho.server.catalog.row_changes.job import Snapshot
from riacho.server.catalog.row_changes.scan import ROW, Hits, by_file, every, numbered_rows
from riacho.server.delta.deletion_vectors import Rows
from riacho.server.delta.files import conform
from riacho.server.state.hashing import hash_keys, members

_FEW = 256
"""So many keys are compared with a file's bounds one by one; of more, only the least and the greatest."""


@dataclass(frozen=True)
class Touched:
    """Some rows of a table, with all its columns. `numbers`: see `row_changes.scan`."""

    numbers: Rows
    rows: pa.Table


def touched(snapshot: Snapshot, keys: Sequence[str], wanted: pa.Table) -> Touched:
    """The rows of the table whose key is that of a row of `wanted`, which has the columns `keys`.

    The table has these columns too, by the same names in any case. Raises FAILED_READ_FILE.
    """
    known = {name.lower(): name for name in snapshot.schema.names}
    names = [known[key.lower()] for key in keys]
    columns = (_as(wanted.column(key), snapshot.schema.field(name)) for key, name in zip(keys, names, strict=True))
    ours = pa.table(dict(zip(names, columns, strict=True)))
    files = _files(snapshot, names, ours)
    schema, batches = numbered_rows(snapshot, names, files)
    there = pa.Table.from_batches(batches, schema=schema)
    hashes = [hash_keys([table.column(name) for name in names], table.num_rows) for table in (there, ours)]
    return rows_of(snapshot, by_file(_numbers(there)[members(*hashes)]))


def rows_of(snapshot: Snapshot, hits: Hits) -> Touched:
    """These rows of the table. Raises FAILED_READ_FILE."""
    schema, batches = numbered_rows(snapshot, hits=hits)
    table = pa.Table.from_batches(batches, schema=schema)
    return Touched(_numbers(table), table.drop_columns([ROW]))


def all_rows(snapshot: Snapshot) -> Touched:
    """The whole table. Raises FAILED_READ_FILE."""
    return rows_of(snapshot, every(snapshot))


def _numbers(table: pa.Table) -> Rows:
    return table.column(ROW).to_numpy()  # type: ignore[no-any-return]


def _as(column: pa.ChunkedArray, field: pa.Field) -> pa.Array:
    return conform(column.combine_chunks(), field.type)


def _files(snapshot: Snapshot, names: Sequence[str], wanted: pa.Table) -> Hits:
    """The files that may hold one of the keys."""
    filters = [made for name in names for made in _filters(name, wanted.column(name))]
    kept = {add.key for add in with_wanted_rows(snapshot.files, snapshot.schema, filters)}
    return Hits({place: None for place, add in enumerate(snapshot.files) if add.key in kept})


def _filters(name: str, values: pa.ChunkedArray) -> list[ReadFilter]:
    """What is sure of a key column's values. Of floating-point columns nothing is: NaN is in no bound."""
    kind = values.type
    if not len(values) or values.null_count or pa.types.is_nested(kind) or pa.types.is_floating(kind):
        return []
    few = pc.unique(values)
    try:
        if len(few) <= _FEW:
            return [ReadFilter("In", (name,), few.to_pylist())]
        bounds: dict[str, Any] = pc.min_max(values).as_py()
    except (ValueError, OverflowError):
        return []  # moments that Python does not have
    return [
        ReadFilter("GreaterThanOrEqual", (name,), bounds["min"]),
        ReadFilter("LessThanOrEqual", (name,), bounds["max"]),
    ]
