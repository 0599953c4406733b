"""The stream reader: the next window or page of one, and its rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeVar

import pyarrow as pa
from pyspark.sql.datasource import DataSourceStreamReader, InputPartition
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.streaming.datasource import ReadAllAvailable, ReadLimit, ReadMaxRows, SupportsTriggerAvailableNow
from pyspark.sql.types import StructType

from riacho.connectors.postgres import catalog
from riacho.connectors.postgres.bad_rows import salvaged, sliced, texts_at
from riacho.connectors.postgres.client import KeptConnection, connection, quoted, resumed
from riacho.connectors.postgres.copies import copied
from riacho.connectors.postgres.pace import IdlePace
from riacho.connectors.postgres.texts import BadValueError, as_arrow
from riacho.connectors.postgres_incremental.settings import IncrementalSettings
from riacho.connectors.postgres_incremental.windows import TableCursor, Window, between, next_window, oldest_open
from riacho.errors import SparkRuntimeError

_T = TypeVar("_T")
_ALL_ROWS: Final = 1 << 62
_TYPE: Final = "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = %s AND attname = %s"


class IncrementalReader(DataSourceStreamReader, SupportsTriggerAvailableNow):
    """See `windows`. Nothing is connected until it is asked."""

    def __init__(self, settings: IncrementalSettings, schema: StructType) -> None:
        self._settings = settings
        self._schema = schema
        self._connection = KeptConnection(settings.address)
        self._cursor: TableCursor | None = None
        self._until: int | None = None
        self._pace = IdlePace()

    def initialOffset(self) -> dict[str, Any]:  # noqa: N802 - Spark's name
        return Window().json()

    def getDefaultReadLimit(self) -> ReadLimit:  # noqa: N802 - Spark's name
        return ReadMaxRows(self._settings.rows)

    def prepareForTriggerAvailableNow(self) -> None:  # noqa: N802 - Spark's name
        """Rows of transactions that begin later are not read."""
        self._until = self._asked(oldest_open)

    def latestOffset(self, start: dict[str, Any], limit: ReadLimit) -> dict[str, Any]:  # noqa: N802 - Spark's name
        rows = _ALL_ROWS if isinstance(limit, ReadAllAvailable) else self._settings.rows
        begin = Window.of(start)

        def ask(reader: Any) -> Window:
            if self._cursor is None:
                self._cursor = found_cursor(reader, self._settings)
                catalog.check_names(self._schema.fieldNames(), [self._cursor.table])
            return next_window(reader, self._cursor, begin, rows, self._until)

        self._pace.before()
        end = self._asked(ask)
        self._pace.after(found=end != begin)
        return start if end == begin else end.json()

    def partitions(self, start: dict[str, Any], end: dict[str, Any]) -> list[InputPartition]:
        return [] if start == end else [InputPartition({"start": start, "end": end})]

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        """The rows of a batch in the order of the cursor. If the server breaks off, it goes on behind the last."""
        value: Any = partition.value
        start, end = Window.of(value["start"]), Window.of(value["end"])
        schema = to_arrow_schema(self._schema, timezone="UTC")
        last: tuple[str, ...] | None = None

        def stream() -> Iterator[pa.RecordBatch]:
            nonlocal last
            with connection(self._settings.address) as reader:
                cursor = found_cursor(reader, self._settings)
                for window in (start, end):
                    cursor.check_places(reader, window)
                condition, at = between(cursor, start, end)
                if behind := last or at:
                    condition += f" AND {cursor.order.compared('>', behind)}"
                there = {column.name for column in cursor.table.columns}
                names = [name for name in self._schema.fieldNames() if name in there]
                keys = [f"riacho_key_{number}" for number in range(len(cursor.order.columns))]
                shown = [*map(quoted, names), *(f"{k} AS {n}" for k, n in zip(cursor.order.texts, keys, strict=True))]
                query = (
                    f"SELECT {', '.join(shown)} FROM {cursor.table.sql} WHERE {condition} "  # noqa: S608
                    f"ORDER BY {cursor.order.sql}"
                )
                for rows in copied(reader, query, [*names, *keys]):
                    yield from self._batches(rows, names, schema, cursor.table.full_name)
                    last = tuple(rows[key][-1].as_py() for key in keys)

        yield from resumed(self._settings.address, f"read {self._settings.table}", stream)

    def _batches(self, rows: pa.Table, names: list[str], schema: pa.Schema, table: str) -> Iterator[pa.RecordBatch]:
        columns = {name: rows[name].combine_chunks() for name in names}
        texts = {name: c.chunk(0) if isinstance(c, pa.ChunkedArray) else c for name, c in columns.items()}
        keys = [name for name in rows.column_names if name not in texts]

        def make(first: int, end: int) -> pa.RecordBatch:
            return batch_of(sliced(texts, first, end), end - first, schema, table)

        def letter(row: int) -> tuple[Mapping[str, Any], str]:
            return {"texts": texts_at(texts, row)}, f"{table} {[rows[key][row].as_py() for key in keys]}"

        yield from salvaged(rows.num_rows, make, self._settings.bad_records, letter)

    def commit(self, end: dict[str, Any]) -> None:
        """PostgreSQL keeps nothing for this reader."""

    def stop(self) -> None:
        self._connection.close()

    def _asked(self, ask: Callable[[Any], _T]) -> _T:
        return self._connection.asked(f"find new rows of {self._settings.table}", ask)


def found_table(reader: Any, settings: IncrementalSettings) -> catalog.PgTable:
    """Raises AnalysisError if there is none."""
    return catalog.tables(reader, catalog.find(reader, [settings.table]))[0]


def found_cursor(reader: Any, settings: IncrementalSettings) -> TableCursor:
    """How the table is read. Raises AnalysisError and IllegalArgumentError where it cannot be read so."""
    table = found_table(reader, settings)
    row = reader.execute(_TYPE, (table.oid, settings.cursor)).fetchone()
    return TableCursor.of(table, settings, None if row is None else row[0])


def batch_of(texts: Mapping[str, pa.Array], count: int, schema: pa.Schema, table: str) -> pa.RecordBatch:
    """The columns of `schema`. Raises SparkRuntimeError for a value that its column's type cannot hold."""
    arrays = []
    for field in schema:
        if field.name not in texts:
            arrays.append(pa.nulls(count, field.type))
            continue
        try:
            arrays.append(as_arrow(texts[field.name], field.type))
        except BadValueError as bad:
            raise SparkRuntimeError(
                f"The column {field.name} of the PostgreSQL table {table} has the value {bad.value[:100]!r}, which "
                f"does not fit the stream's type {field.type}. If the column's type was changed, start the stream "
                f"again; else give it a schema in which {field.name} is STRING"
            ) from None
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
