"""The rows that are there before the first change: chunk by chunk, each in a transaction of its own.

No transaction stays open for the whole of it, so a large table neither needs memory nor holds back VACUUM, and a
snapshot that was cut off goes on. What makes the chunks one snapshot is a condition: a row belongs to it if the
transaction that wrote it (`xmin`) was done when the slot was made. ChangeRows that were written since are left out; the
changes of the slot tell them.

Where that cannot be told, rows are rather read than left out, and come a second time as a change: of a table that was
written anew in the meantime (VACUUM FULL, ALTER COLUMN TYPE), and in a cluster that has had more than 4 billion
transactions, where a number may stand for an old one.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from riacho.connectors.bad_records import BadRecords
from riacho.connectors.postgres.address import PgAddress
from riacho.connectors.postgres.catalog import PgTable, TablePart
from riacho.connectors.postgres.client import connection, literal, quoted, resumed
from riacho.connectors.postgres.copies import copied
from riacho.connectors.postgres.keys import RowKey, key_of
from riacho.connectors.postgres_cdc import shape
from riacho.connectors.postgres_cdc.offsets import SnapshotPosition
from riacho.connectors.postgres_cdc.shape import ChangeShape, SaidOfRows, constant
from riacho.errors import IllegalStateError

_log = logging.getLogger(__name__)
_WRAP: Final = 1 << 32
"""The transaction numbers that rows carry are counted modulo this."""
_PER_BLOCK: Final = 50
"""How many rows a block of a table is taken to have of which nobody knows it."""


@dataclass(frozen=True)
class SnapshotChunk:
    """Rows of one part: after the key `after`, up to and with `to`, where these are given."""

    part: TablePart
    after: Sequence[str] | None
    to: Sequence[str] | None


def next_stop(
    open_connection: Any, start: SnapshotPosition, tables: Mapping[str, PgTable], rows: int
) -> SnapshotPosition:
    """Where a batch of about `rows` rows ends that begins at `start`."""
    left = rows
    number, after = start.part, start.after
    count: int
    last: Sequence[str] | int | None
    while number < len(start.parts) and left > 0:
        part = start.parts[number]
        table = tables.get(part.table)
        if table is not None and table.key:
            key = key_of(table.key, table.key_types)
            found = _last_key(open_connection, part, key, None if after is None else _texts(after), left)
            count, last = found or (0, None)
        else:
            count, last = _last_block(open_connection, part, after if isinstance(after, int) else 0, left)
        if last is None or count < left:
            number, after, left = number + 1, None, left - count
        else:
            after, left = last, 0
    return start.at(number, after)


def _texts(after: Sequence[str] | int) -> Sequence[str]:
    assert not isinstance(after, int)
    return after


def _last_key(
    open_connection: Any, part: TablePart, key: RowKey, after: Sequence[str] | None, rows: int
) -> tuple[int, list[str]] | None:
    """How many rows there are behind `after`, of `rows` that are looked for, and the key of the last."""
    behind = "" if after is None else f"WHERE {key.compared('>', after)}"
    row = open_connection.execute(
        f"SELECT n, k FROM (SELECT row_number() OVER (ORDER BY {key.sql}) AS n, ARRAY[{', '.join(key.texts)}] AS k "  # noqa: S608
        f"FROM ONLY {part.sql} {behind} ORDER BY {key.sql} LIMIT {rows}) s ORDER BY n DESC LIMIT 1"
    ).fetchone()
    return None if row is None else (row[0], row[1])


def _last_block(open_connection: Any, part: TablePart, first: int, rows: int) -> tuple[int, int | None]:
    """The same by blocks, which say nothing of their rows: the number of the first block that is not read."""
    query = """SELECT pg_relation_size(c.oid) / current_setting('block_size')::int,
      CASE WHEN relpages > 0 AND reltuples > 0 THEN reltuples / relpages ELSE %s END
      FROM pg_class c WHERE c.oid = %s::regclass"""
    blocks, per_block = open_connection.execute(query, (_PER_BLOCK, part.sql)).fetchone()
    taken = max(int(rows / max(per_block, 1)), 1)
    if first + taken >= blocks:
        return min(int((blocks - first) * per_block), rows - 1), None
    return rows, first + taken


def chunks(start: SnapshotPosition | None, end: SnapshotPosition) -> list[SnapshotChunk]:
    """What a batch reads: everything from `start` (from the beginning, if it is None) to `end`."""
    number, after = (0, None) if start is None else (start.part, start.after)
    found = []
    while (number, after) != (end.part, end.after) and number < len(end.parts):
        last = end.after if number == end.part else None
        found.append(SnapshotChunk(end.parts[number], _after(after), _to(last)))
        if number == end.part:
            break
        number, after = number + 1, None
    return found


def _after(after: Sequence[str] | int | None) -> Sequence[str] | None:
    """Row places begin at 1, so `(block,0)` is before the first of a block."""
    return (f"({after},0)",) if isinstance(after, int) else after


_to = _after


@dataclass(frozen=True)
class SnapshotReader:
    """Reads chunks as batches of the stream's columns."""

    address: PgAddress
    shape: ChangeShape
    snapshot: SnapshotPosition
    tables: Mapping[str, PgTable]
    filters: Mapping[str, str]
    bad_records: BadRecords

    def rows(self, chunk: SnapshotChunk) -> Iterator[pa.RecordBatch]:
        """The rows of a chunk. If the server breaks off, it goes on behind the last row that it gave."""
        table = self.tables.get(chunk.part.table)
        if table is None:
            raise IllegalStateError(
                f"The snapshot of {chunk.part.table} is not done, and the stream does not follow the table any more. "
                "Name it in the options as before, or begin anew with another checkpoint"
            )
        key = key_of(table.key, table.key_types)
        names = [column.name for column in table.columns if column.name in self.shape.columns]
        last = chunk.after

        def stream() -> Iterator[pa.RecordBatch]:
            nonlocal last
            with connection(self.address) as reader:
                reader.execute("SET synchronize_seqscans = off")
                query = self._query(reader, table, chunk, key, names, last)
                for rows in copied(reader, query, [*names, *(f"\0{n}" for n in range(len(key.columns)))]):
                    yield from self._batches(table, rows, names)
                    place = rows.slice(rows.num_rows - 1).to_pylist()[0]
                    last = [place[f"\0{number}"] for number in range(len(key.columns))]

        yield from resumed(self.address, f"read the snapshot of {chunk.part.table}", stream)

    def _query(
        self,
        reader: Any,
        table: PgTable,
        chunk: SnapshotChunk,
        key: RowKey,
        names: Sequence[str],
        after: Sequence[str] | None,
    ) -> str:
        conditions = []
        if table.full_name in self.filters:
            conditions.append(f"({self.filters[table.full_name]})")
        if after is not None:
            conditions.append(key.compared(">", after))
        if chunk.to is not None:
            conditions.append(key.compared("<=", chunk.to))
        if (visible := self._visible(reader, chunk, table)) is not None:
            conditions.append(visible)
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        columns = ", ".join([*map(quoted, names), *(f"{text} AS riacho_key_{n}" for n, text in enumerate(key.texts))])
        return f"SELECT {columns} FROM ONLY {chunk.part.sql}{where} ORDER BY {key.sql}"  # noqa: S608

    def _visible(self, reader: Any, chunk: SnapshotChunk, table: PgTable) -> str | None:
        """The condition of rows that belong to the snapshot; None for all rows.

        Raises IllegalStateError for a table without a key whose rows lie elsewhere than when some of them were read.
        """
        part = chunk.part
        query = """SELECT coalesce(pg_relation_filenode(%s::regclass), 0)::bigint,
          pg_snapshot_xmax(pg_current_snapshot())::text::bigint"""
        file, next_number = reader.execute(query, (part.sql,)).fetchone()
        is_elsewhere = file != part.file
        if is_elsewhere and part.file and not table.key and (chunk.after is not None or chunk.to is not None):
            raise IllegalStateError(
                f"{part.sql} has no primary key, and it was written anew (VACUUM FULL, CLUSTER, TRUNCATE or ALTER "
                "TABLE) while its snapshot was read: which of its rows were read cannot be told any more. Begin "
                "anew with another checkpoint and slot (and drop this stream's slot), and an empty target. A "
                "larger maxSnapshotRowsPerTrigger reads it in one batch; a primary key keeps this from happening"
            )
        visible = self.snapshot.visible
        if visible is None:
            return None
        if is_elsewhere:
            _log.warning(
                "%s was written anew while its snapshot was read: rows that changed meanwhile come as a read, and as a "
                "change",
                part.sql,
            )
            return None
        if next_number >= _WRAP:
            return None
        oldest = int(visible.split(":")[0])
        number = f"({oldest} + (xmin::text::bigint - {oldest % _WRAP} + {_WRAP}) % {_WRAP})"
        return (
            f"CASE WHEN {number} >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint THEN true "
            f"ELSE pg_visible_in_snapshot({number}::text::xid8, {literal(visible)}::pg_snapshot) END"
        )

    def _batches(self, table: PgTable, rows: pa.Table, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        count = rows.num_rows
        low, snapshot = self.snapshot.low, self.snapshot
        said = SaidOfRows(
            count,
            {
                shape.OPERATION: constant("read", count, pa.string()),
                shape.TABLE: constant(table.full_name, count, pa.string()),
                shape.LSN: constant(low, count, pa.int64()),
                shape.COMMIT_LSN: constant(snapshot.lsn, count, pa.int64()),
                shape.POSITION: pa.array(np.zeros(count, np.int32)),
                shape.COMMIT_TIME: constant(snapshot.taken_us, count, pa.int64()).cast(pa.timestamp("us", "UTC")),
                shape.TRANSACTION: pa.nulls(count, pa.int64()),
                shape.UNCHANGED: pa.nulls(count, pa.list_(pa.string())),
            },
        )
        columns = {name: _array(rows[name].combine_chunks()) for name in names}
        keys = [name for name in rows.column_names if name not in columns]

        def place(row: int) -> str:
            return f"snapshot {[rows[key][row].as_py() for key in keys]}"

        yield from self.shape.salvaged(table.full_name, said, columns, {}, self.bad_records, place)


def _array(column: Any) -> pa.Array:
    return column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
