"""Writing: the table is made ready once, then each task fills it in a transaction of its own, as in Spark.

Source: `JdbcRelationProvider.createRelation`, `JdbcUtils.savePartition`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
from pyspark.sql.datasource import DataSourceArrowWriter, WriterCommitMessage
from pyspark.sql.types import StructType

from riacho.connectors.jdbc import databases, sql_text, sqlite, tables
from riacho.connectors.jdbc.connection import Connection
from riacho.connectors.jdbc.errors import DriverError, task_failed
from riacho.connectors.jdbc.options import JdbcOptions, writable
from riacho.connectors.jdbc.targets import ROWS, NamedTable, Target, sent, table_of, targets
from riacho.connectors.jdbc.url import POSTGRES
from riacho.errors import AnalysisError, IllegalArgumentError


def writer_of(options: JdbcOptions, schema: StructType, mode: str) -> JdbcWriter | None:
    """Make the table ready for a save mode, and give what fills it; None if there is nothing to write."""
    table = writable(options)
    tables.check_types(schema)
    if options.num_partitions is not None and options.num_partitions <= 0:
        raise IllegalArgumentError(
            f"Invalid value `{options.num_partitions}` for parameter `numPartitions` in table writing via JDBC. The "
            "minimum value is 1.",
            condition="_LEGACY_ERROR_TEMP_2087",
        )
    with databases.opened(options, databases.address_of(options)) as connection:
        if tables.exists(connection, table):
            if mode == "ignore":
                return None
            if mode == "error":
                raise AnalysisError(
                    f"Table or view '{table}' already exists. SaveMode: ErrorIfExists.",
                    condition="_LEGACY_ERROR_TEMP_1288",
                )
            if mode == "overwrite":
                if options.given.flag("truncate") and connection.kind == POSTGRES:
                    tables.truncate(connection, table, options)
                else:
                    for field in schema:
                        tables.database_type(field.dataType, connection.kind, options)
                    tables.drop(connection, table)
                    tables.create(connection, table, schema, options)
        else:
            tables.create(connection, table, schema, options)
        return JdbcWriter(options, table, _plan(connection, table, schema, options))


@dataclass(frozen=True)
class FillPlan:
    """How rows get into the table: into which columns, and which table COPY fills."""

    targets: Sequence[Target]
    table: NamedTable | None

    @property
    def is_staged(self) -> bool:
        return any(target.staged is not None for target in self.targets)


def _plan(connection: Connection, table: str, schema: StructType, options: JdbcOptions) -> FillPlan:
    for field in schema:
        tables.database_type(field.dataType, connection.kind, options)
    existing = connection.columns(f"SELECT * FROM {table} WHERE 1=0").names
    names = tables.matched(table, schema, existing, options)
    if connection.kind != POSTGRES:
        return FillPlan(sqlite.targets(names, schema), None)
    known = table_of(connection, table)
    address = databases.address_of(options)
    untyped = address.settings.get("stringtype", "").lower() == "unspecified"
    return FillPlan(targets(names, schema, known, untyped=untyped), known)


class JdbcWriter(DataSourceArrowWriter):
    """Fills a table. `most_tasks`: as many tasks as `numPartitions` allows."""

    def __init__(self, options: JdbcOptions, table: str, plan: FillPlan) -> None:
        self._options = options
        self._table = table
        self._plan = plan
        one_writer = databases.address_of(options).kind != POSTGRES  # the others would find SQLite's file locked
        self.most_tasks = 1 if one_writer else options.num_partitions

    def write(self, iterator: Iterator[pa.RecordBatch]) -> WriterCommitMessage:
        first = next(iterator, None)
        if first is None:
            return WriterCommitMessage()
        rows = _TaskBatches(first, iterator, self._plan.targets)
        level = self._options.given.text("isolationLevel")
        try:
            address = databases.address_of(self._options)
            with databases.opened(self._options, address, transaction=level != "NONE") as connection:
                if level == "NONE":
                    self._in_batches(connection, rows)
                else:
                    self._in_one(connection, rows)
        except DriverError as error:
            if rows.failure is not None:
                raise rows.failure from None
            raise task_failed(error) from None
        return WriterCommitMessage()

    def _in_one(self, connection: Connection, rows: _TaskBatches) -> None:
        self._fill(connection, rows.reader(), "ON COMMIT DROP")
        connection.commit()

    def _in_batches(self, connection: Connection, rows: _TaskBatches) -> None:
        """Without a transaction: what was written before a failure stays, `batchsize` rows at a time."""
        size = self._options.batch_rows
        for batch in rows:
            for start in range(0, batch.num_rows, size):
                part = pa.RecordBatchReader.from_batches(batch.schema, [batch.slice(start, size)])
                self._fill(connection, part, "")
                if self._plan.is_staged:
                    connection.run(f"DROP TABLE pg_temp.{ROWS}")

    def _fill(self, connection: Connection, rows: pa.RecordBatchReader, until: str) -> None:
        plan = self._plan
        if connection.kind != POSTGRES:
            connection.insert(sqlite.insert_of(self._table, plan.targets), rows)
            return
        if not plan.is_staged:
            assert plan.table is not None
            connection.fill(plan.table.name, plan.table.schema or None, rows)
            return
        staged = ", ".join(f"{sql_text.name(f'c{i}')} {target.staged}" for i, target in enumerate(plan.targets))
        connection.run(f"CREATE TEMPORARY TABLE {ROWS} ({staged}) {until}")
        named = pa.schema([(f"c{i}", field.type) for i, field in enumerate(rows.schema)])
        batches = (pa.RecordBatch.from_arrays(batch.columns, schema=named) for batch in rows)
        connection.fill(ROWS, None, pa.RecordBatchReader.from_batches(named, batches), temporary=True)
        names = ", ".join(sql_text.name(target.name) for target in plan.targets)
        values = ", ".join(
            f"{sql_text.name(f'c{i}')}{f'::{target.cast}' if target.cast else ''}"
            for i, target in enumerate(plan.targets)
        )
        connection.run(f"INSERT INTO {self._table} ({names}) SELECT {values} FROM pg_temp.{ROWS}")


class _TaskBatches(Iterator[pa.RecordBatch]):
    """The batches of a task as they are sent. `failure`: what getting them raised; drivers say it in their words."""

    def __init__(self, first: pa.RecordBatch, rest: Iterator[pa.RecordBatch], targets: Sequence[Target]) -> None:
        self._first: pa.RecordBatch | None = first
        self._rest = rest
        self._targets = targets
        self._schema = pa.schema([(target.name, target.arrow) for target in targets])
        self.failure: BaseException | None = None

    def reader(self) -> pa.RecordBatchReader:
        return pa.RecordBatchReader.from_batches(self._schema, self)

    def __next__(self) -> pa.RecordBatch:
        try:
            batch, self._first = self._first, None
            if batch is None:
                batch = next(self._rest)
            columns = [sent(column, target) for column, target in zip(batch.columns, self._targets, strict=True)]
            return pa.RecordBatch.from_arrays(columns, schema=self._schema)
        except StopIteration:
            raise
        except DriverError as error:
            self.failure = task_failed(error)
            raise
        except BaseException as error:
            self.failure = error
            raise
