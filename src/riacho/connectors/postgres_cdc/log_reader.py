"""The changes between two positions of the log as batches of the stream's columns."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pyarrow as pa

from riacho.connectors.postgres.catalog import PgTable
from riacho.connectors.postgres.client import as_logged, connection, literal, quoted, resumed
from riacho.connectors.postgres_cdc import shape, slots
from riacho.connectors.postgres_cdc.changes import ChangeDecoder, ChangeRows, FollowedTable
from riacho.connectors.postgres_cdc.offsets import lsn_text
from riacho.connectors.postgres_cdc.pgoutput import LoggedTable
from riacho.connectors.postgres_cdc.publications import following
from riacho.connectors.postgres_cdc.settings import CdcSettings
from riacho.connectors.postgres_cdc.shape import ChangeShape, SaidOfRows, constant
from riacho.errors import AnalysisError

_log = logging.getLogger(__name__)
_AT_A_TIME: Final = 500
_LEAVES: Final = """
SELECT n.nspname || '.' || c.relname FROM pg_partition_tree(%s::oid) p
JOIN pg_class c ON c.oid = p.relid JOIN pg_namespace n ON n.oid = c.relnamespace
"""

_COLUMNS: Final = (
    "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped"
)


@dataclass(frozen=True)
class LogReader:
    """Reads transactions that were committed in [start, end) of the log. `own_schema`: whether the stream's schema is
    that of the tables, and not one that the user gave.
    """

    settings: CdcSettings
    shape: ChangeShape
    own_schema: bool

    def rows(self, start: int, end: int) -> Iterator[pa.RecordBatch]:
        """The same rows as often as it is asked, as long as the slot stands at `start` or before. If the server breaks
        off, it goes on behind the last change that it gave.
        """
        last = (0, 0)

        def stream() -> Iterator[pa.RecordBatch]:
            nonlocal last
            with connection(self.settings.address) as reader:
                slots.checked(reader, self.settings.slot, start)
                tables = _FollowedTables(reader, self)
                decoder = ChangeDecoder(start, end, tables.follow, before=self.shape.has_before)
                for lsns, messages in slots.peek(reader, self.settings.slot, self.settings.publication, end):
                    changes = decoder.rows(lsns, messages)
                    if last > (0, 0):
                        changes = [_behind(rows, *last) for rows in changes]
                    batches = self._batches(reader, changes)
                    yield from batches
                    last = max([last, *(_last(rows) for rows in changes if len(rows.order))])

        yield from resumed(self.settings.address, f"read the changes of slot {self.settings.slot}", stream)

    def _batches(self, reader: Any, changes: Sequence[ChangeRows]) -> list[pa.RecordBatch]:
        changes = [rows for rows in changes if len(rows.order)]
        batches: list[pa.RecordBatch] = []
        for rows in changes:
            unchanged = _unchanged(rows)
            fetches = rows.unchanged and self.settings.fetches_toast
            filled = _fetched(reader, rows, self.shape.columns) if fetches else rows
            bad, said = self.settings.bad_records, _said(rows, unchanged)
            batches += self.shape.salvaged(rows.table, said, filled.texts, filled.before, bad, _place_in(rows))
        if len(changes) < 2 or sum(batch.num_rows for batch in batches) < sum(len(rows.order) for rows in changes):
            return batches
        order = np.argsort(np.concatenate([rows.order for rows in changes]), kind="stable")
        table = pa.Table.from_batches(batches).take(pa.array(order)).combine_chunks()
        found: list[pa.RecordBatch] = table.to_batches()
        return found


class _FollowedTables:
    """Which table a relation of the log is, and whether the stream has its columns."""

    def __init__(self, reader: Any, owner: LogReader) -> None:
        found = following(reader, owner.settings)
        self._owner = owner
        self._by_name: dict[str, PgTable] = {}
        for table in found.tables:
            self._by_name[table.full_name] = table
            if table.is_partitioned:
                for (leaf,) in reader.execute(_LEAVES, (table.oid,)):
                    self._by_name.setdefault(leaf, table)

    def follow(self, relation: LoggedTable) -> FollowedTable | None:
        """Raises AnalysisError for a column that the stream does not know and the table has."""
        table = self._by_name.get(relation.full_name)
        if table is None:
            return None
        unknown = [name for name in relation.columns if name not in self._owner.shape.columns]
        generated = {column.name for column in table.columns if column.is_generated}
        new = [name for name in unknown if name in {column.name for column in table.columns} - generated]
        if new and self._owner.own_schema and self._owner.settings.fails_at_new_columns:
            names = ", ".join(new)
            raise AnalysisError(
                f"The table {table.full_name} has columns that are new to this stream: {names}. Start the stream again "
                "from the same checkpoint: it takes them then (a Delta table with the option mergeSchema), and nothing "
                "is lost. With schemaChange = ignore, or with a schema of your own, such columns are left out"
            )
        if gone := [name for name in unknown if name not in generated]:
            _log.warning("The log has columns of %s that the stream lacks, and leaves out: %s", table.full_name, gone)
        return FollowedTable(table.full_name, table.key)


def _place_in(rows: ChangeRows) -> Callable[[int], str]:
    return lambda row: f"{lsn_text(int(rows.commit_lsns[row]))} {rows.positions[row]}"


def _last(rows: ChangeRows) -> tuple[int, int]:
    last = int(np.argmax(rows.order))
    return int(rows.commit_lsns[last]), int(rows.positions[last])


def _behind(rows: ChangeRows, commit_lsn: int, position: int) -> ChangeRows:
    """Those of the rows that come behind a change."""
    later = (rows.commit_lsns > commit_lsn) | ((rows.commit_lsns == commit_lsn) & (rows.positions > position))
    if later.all():
        return rows
    mask = pa.array(later)
    return replace(
        rows,
        operations=rows.operations.filter(mask),
        order=rows.order[later],
        lsns=rows.lsns[later],
        commit_lsns=rows.commit_lsns[later],
        times_us=rows.times_us[later],
        transactions=rows.transactions[later],
        positions=rows.positions[later],
        texts={name: texts.filter(mask) for name, texts in rows.texts.items()},
        unchanged={name: found[later] for name, found in rows.unchanged.items()},
        before={name: texts.filter(mask) for name, texts in rows.before.items()},
    )


def _said(rows: ChangeRows, unchanged: pa.Array) -> SaidOfRows:
    count = len(rows.order)
    return SaidOfRows(
        count,
        {
            shape.OPERATION: rows.operations,
            shape.TABLE: constant(rows.table, count, pa.string()),
            shape.LSN: pa.array(rows.lsns),
            shape.COMMIT_LSN: pa.array(rows.commit_lsns),
            shape.POSITION: pa.array(rows.positions),
            shape.COMMIT_TIME: pa.array(rows.times_us).cast(pa.timestamp("us", "UTC")),
            shape.TRANSACTION: pa.array(rows.transactions),
            shape.UNCHANGED: unchanged,
        },
    )


def _unchanged(rows: ChangeRows) -> pa.Array:
    """The names of the columns whose values the log does not tell, row by row; null where it tells all."""
    count = len(rows.order)
    if not rows.unchanged:
        return pa.nulls(count, pa.list_(pa.string()))
    names: list[list[str] | None] = [None] * count
    for name, untold in rows.unchanged.items():
        for index in np.flatnonzero(untold):
            names[index] = [*(names[index] or ()), name]
    return pa.array(names, pa.list_(pa.string()))


def _fetched(reader: Any, rows: ChangeRows, names: Collection[str]) -> ChangeRows:
    """The rows with the values of columns of these `names` that the log does not tell, as the table has them now: of
    its next state, if it has been changed since, which the next change of the row tells. A row that is gone keeps
    nulls: its delete follows. So does a column that is gone, or has another name now.
    """
    table = f"{quoted(rows.relation.schema)}.{quoted(rows.relation.name)}"
    there = {row[0] for row in reader.execute(_COLUMNS, (table,))}
    key = [name for name, is_key in zip(rows.relation.columns, rows.relation.key, strict=True) if is_key]
    wanted = np.flatnonzero(np.logical_or.reduce(list(rows.unchanged.values())))
    columns = [name for name in rows.unchanged if name in names and name in there]
    keys = list(zip(*(rows.texts[name].take(pa.array(wanted)).to_pylist() for name in key), strict=True))
    if not keys or not columns or not there.issuperset(key):
        return rows
    found: dict[tuple[str, ...], Sequence[str | None]] = {}
    shown = ", ".join(as_logged(quoted(name)) for name in (*key, *columns))
    distinct = list(dict.fromkeys(keys))
    for first in range(0, len(distinct), _AT_A_TIME):
        given = ", ".join(f"({', '.join(map(literal, values))})" for values in distinct[first : first + _AT_A_TIME])
        query = f"SELECT {shown} FROM {table} WHERE ({', '.join(map(quoted, key))}) IN ({given})"  # noqa: S608
        for row in reader.execute(query):
            found[row[: len(key)]] = row[len(key) :]
    texts: Mapping[str, pa.Array] = rows.texts
    for number, name in enumerate(columns):
        values = texts[name].to_pylist()
        for index, values_of_key in zip(wanted, keys, strict=True):
            if rows.unchanged[name][index] and values_of_key in found:
                values[index] = found[values_of_key][number]
        texts = {**texts, name: pa.array(values, pa.string())}
    return replace(rows, texts=texts)
