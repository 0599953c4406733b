"""The kinds of databases behind one face: how a read or a write opens a connection and knows the columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import pyarrow as pa
from pyspark.sql.types import CharType, DataType, NullType, StructField, StructType

from riacho.connectors.jdbc import ddl, postgres, sqlite
from riacho.connectors.jdbc.connection import Connection
from riacho.connectors.jdbc.errors import DriverError, not_described
from riacho.connectors.jdbc.filters import Comparable
from riacho.connectors.jdbc.options import JdbcOptions
from riacho.connectors.jdbc.url import POSTGRES, Address, address
from riacho.errors import AnalysisError, UnsupportedOperationError


class ReadColumn(Comparable, Protocol):
    """A column of a relation, as it is read."""

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> DataType:
        """What Spark makes of it."""

    @property
    def selected(self) -> list[str]:
        """The expressions that are asked for."""

    def made(self, columns: list[pa.Array], arrow: pa.DataType, position: int) -> pa.Array:
        """The column of what was asked for."""


def address_of(options: JdbcOptions) -> Address:
    """The database that options are about. Raises what `url.address` raises."""
    properties = dict(options.properties)
    return address(options.url, options.given.maybe("driver"), properties)


def opened(options: JdbcOptions, where: Address, *, transaction: bool = False) -> Connection:
    """A connection for statements of these options."""
    connection = Connection(where, transaction=transaction)
    try:
        if where.kind == POSTGRES:
            connection.run(postgres.settings(options, where))
            if transaction:
                connection.commit()  # the next one has the isolation level
    except BaseException:
        connection.close()
        raise
    return connection


def columns(connection: Connection, options: JdbcOptions) -> Sequence[ReadColumn]:
    """The columns of the relation, with the types that the user chose.

    Raises JDBC_EXTERNAL_ENGINE_SYNTAX_ERROR, COLUMN_ALREADY_EXISTS, UNRECOGNIZED_SQL_TYPE.
    """
    query = f"{options.before_select}SELECT * FROM {options.relation} WHERE 1=0"
    found: Sequence[ReadColumn]
    try:
        if connection.kind == POSTGRES:
            found = postgres.describe(connection, options, query)
        else:
            found = sqlite.describe(connection, options, query)
    except DriverError as error:
        raise not_described(query, error) from None
    check_unique([column.name for column in found], options)
    chosen = options.given.text("customSchema")
    return _customised(found, ddl.fields(chosen), options) if chosen else found


def schema_of(found: Sequence[ReadColumn]) -> StructType:
    """The columns as Spark's; any of them may be null."""
    return StructType([StructField(column.name, column.kind, nullable=True) for column in found])


def _customised(found: Sequence[ReadColumn], chosen: Sequence[StructField], options: JdbcOptions) -> list[ReadColumn]:
    check_unique([field.name for field in chosen], options)
    made: list[ReadColumn] = []
    for column in found:
        match = next((field for field in chosen if options.same(field.name, column.name)), None)
        if match is not None and isinstance(match.dataType, CharType):
            raise UnsupportedOperationError(
                f"customSchema = '{match.name} {match.dataType.simpleString().upper()}': riacho does not pad text that "
                "it reads. Say STRING, and pad with rpad."
            )
        if match is None or isinstance(column.kind, NullType):
            made.append(column)
        elif isinstance(column, postgres.PostgresColumn):
            made.append(postgres.custom(column, match.dataType))
        else:
            assert isinstance(column, sqlite.SqliteColumn)
            made.append(sqlite.custom(column, match.dataType))
    return made


def check_unique(names: Sequence[str], options: JdbcOptions) -> None:
    """Raises COLUMN_ALREADY_EXISTS for a name that comes twice."""
    seen: set[str] = set()
    for name in names:
        key = name if options.is_case_sensitive else name.lower()
        if key in seen:
            raise AnalysisError.of(
                "COLUMN_ALREADY_EXISTS",
                f"The column `{key}` already exists. Choose another name or rename the existing column.",
                sql_state="42711",
                columnName=f"`{key}`",
            )
        seen.add(key)
