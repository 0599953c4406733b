"""A connection to a database by its ADBC driver: statements, and rows as Arrow.

What a driver raises becomes a `DriverError` here, and nowhere else: without the password, whatever the driver says.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import unquote

import pyarrow as pa

from riacho import extras
from riacho.connectors.jdbc.errors import DriverError, FromStream, driver_error, not_connected
from riacho.connectors.jdbc.url import POSTGRES, SQLITE, Address

_MODULES: Final = {POSTGRES: "adbc_driver_postgresql.dbapi", SQLITE: "adbc_driver_sqlite.dbapi"}


class Connection:
    """An open connection. Close it, or use it as a context.

    `transaction`: everything until `commit` is one; else each statement is. All calls raise `DriverError`, but making
    one raises FAILED_JDBC.CONNECTION, or AnalysisError if the driver is not installed.
    """

    def __init__(self, address: Address, *, transaction: bool = False) -> None:
        module: Any = extras.require(_MODULES[address.kind], "jdbc", "The JDBC source")
        self.kind = address.kind
        self._secrets = _secrets(address)
        try:
            with self._told():
                self._connection: Any = module.connect(address.uri, autocommit=not transaction)
        except DriverError as error:
            raise not_connected(address.kind, error) from None

    def run(self, sql: str) -> None:
        """A statement whose rows, if it gives any, do not matter."""
        with self._told(), self._cursor() as cursor:
            if self.kind == POSTGRES:
                cursor.adbc_statement.set_options(**{"adbc.postgresql.use_copy": "false"})
            cursor.execute(sql)

    def table(self, sql: str) -> pa.Table:
        """The rows of a query, all at once: for few."""
        with self._told(), self._cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetch_arrow_table()

    def batches(self, sql: str, options: dict[str, str]) -> Iterator[pa.RecordBatch]:
        """The rows of a query, as they come. `options`: of the driver's statement."""
        with self._told(), self._cursor() as cursor:
            cursor.adbc_statement.set_options(**options)
            cursor.execute(sql)
            with cursor.fetch_record_batch() as reader:
                while (batch := _next(reader)) is not None:
                    yield batch

    def columns(self, sql: str) -> pa.Schema:
        """The columns that a query would give. SQLite's have no types yet: only rows have."""
        if self.kind != POSTGRES:
            return self.table(sql).schema
        with self._told(), self._cursor() as cursor:
            schema: pa.Schema = cursor.adbc_execute_schema(sql)
            return schema

    def fill(self, table: str, schema: str | None, rows: pa.RecordBatchReader, *, temporary: bool = False) -> int:
        """Append rows to a table in bulk, by the names of their columns; how many."""
        place = {} if schema is None else {"db_schema_name": schema}
        with self._told(), self._cursor() as cursor:
            return int(cursor.adbc_ingest(table, rows, "append", temporary=temporary, **place))

    def insert(self, sql: str, rows: pa.RecordBatchReader) -> None:
        """Run a statement with each of the rows for its parameters."""
        with self._told(), self._cursor() as cursor:
            cursor.executemany(sql, rows)

    def commit(self) -> None:
        with self._told():
            self._connection.commit()

    def close(self) -> None:
        """End it; what was not committed is undone. Idempotent, and raises nothing."""
        with suppress(Exception):
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _cursor(self) -> Any:
        return self._connection.cursor()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn what the driver raises into `DriverError`."""
        try:
            yield
        except Exception as error:
            known = driver_error(error, self._secrets)
            if known is None:
                raise
            raise known from None


def _next(reader: pa.RecordBatchReader) -> pa.RecordBatch | None:
    """The next batch. What the driver finds on its way comes through Arrow, and is told as the driver's."""
    try:
        return reader.read_next_batch()
    except StopIteration:
        return None
    except (OSError, pa.ArrowException) as error:
        raise FromStream(str(error)) from None


def _secrets(address: Address) -> tuple[str, ...]:
    """What no error may show."""
    if address.kind != POSTGRES:
        return ()
    login, at, _ = address.uri.removeprefix("postgresql://").partition("@")
    password = login.partition(":")[2] if at else ""
    return tuple(text for text in (address.uri, password, unquote(password)) if text)
