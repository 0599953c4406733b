"""Tables as writes need them: which types their columns get, whether they are there, made, emptied, removed.

Sources: `JdbcUtils.createTable`, `JdbcUtils.getCommonJDBCType`, `PostgresDialect.getJDBCType`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from pyspark.sql import types as spark

from riacho.connectors.jdbc import databases, ddl, sql_text
from riacho.connectors.jdbc.connection import Connection
from riacho.connectors.jdbc.errors import DriverError
from riacho.connectors.jdbc.options import JdbcOptions
from riacho.connectors.jdbc.url import POSTGRES
from riacho.errors import AnalysisError, IllegalArgumentError

_log = logging.getLogger(__name__)

_COMMON: Final[dict[type[spark.DataType], str]] = {
    spark.IntegerType: "INTEGER",
    spark.LongType: "BIGINT",
    spark.DoubleType: "DOUBLE PRECISION",
    spark.FloatType: "REAL",
    spark.ShortType: "INTEGER",
    spark.ByteType: "BYTE",
    spark.BooleanType: "BIT(1)",
    spark.StringType: "TEXT",
    spark.BinaryType: "BLOB",
    spark.TimestampType: "TIMESTAMP",
    spark.TimestampNTZType: "TIMESTAMP",
    spark.DateType: "DATE",
}
_OF_POSTGRES: Final[dict[type[spark.DataType], str]] = {
    spark.StringType: "TEXT",
    spark.BinaryType: "BYTEA",
    spark.BooleanType: "BOOLEAN",
    spark.FloatType: "FLOAT4",
    spark.DoubleType: "FLOAT8",
    spark.ShortType: "SMALLINT",
    spark.ByteType: "SMALLINT",
    spark.TimestampType: "TIMESTAMP WITH TIME ZONE",
}
_MISSING: Final = ("42P01", "3F000", "42704")
"""The SQLSTATEs of a table, or its schema, that is not there."""
_STRANGE: Final = (spark.DayTimeIntervalType, spark.YearMonthIntervalType, spark.VariantType)
"""Types that Spark's JDBC source refuses before it asks for a table."""


def database_type(kind: spark.DataType, database: str, options: JdbcOptions) -> str:
    """What a column of that type is in CREATE TABLE. Raises IllegalArgumentError for a type that there is none for."""
    if isinstance(kind, spark.VarcharType):
        return f"VARCHAR({kind.length})"
    if isinstance(kind, spark.CharType):
        return f"CHAR({kind.length})"
    if database == POSTGRES:
        if isinstance(kind, spark.TimestampType) and options.has_legacy_datetimes:
            return "TIMESTAMP"
        if isinstance(kind, spark.ArrayType) and isinstance(kind.elementType, spark.AtomicType | spark.ArrayType):
            return database_type(kind.elementType, database, options) + "[]"
        if isinstance(kind, spark.DecimalType):
            return f"NUMERIC({kind.precision},{kind.scale})"
        if type(kind) in _OF_POSTGRES:
            return _OF_POSTGRES[type(kind)]
    if isinstance(kind, spark.DecimalType):
        return f"DECIMAL({kind.precision},{kind.scale})"
    if type(kind) in _COMMON:
        return _COMMON[type(kind)]
    raise IllegalArgumentError(f"Can't get JDBC type for {kind.simpleString()}.", condition="_LEGACY_ERROR_TEMP_2082")


def check_types(schema: spark.StructType) -> None:
    """Raises UNSUPPORTED_DATA_TYPE_FOR_DATASOURCE for what Spark's source refuses at once."""
    for field in schema:
        if isinstance(field.dataType, _STRANGE) or field.dataType.typeName().startswith("time("):
            shown = f'"{field.dataType.simpleString().upper()}"'
            raise AnalysisError.of(
                "UNSUPPORTED_DATA_TYPE_FOR_DATASOURCE",
                f"The jdbc datasource doesn't support the column `{field.name}` of the type {shown}.",
                sql_state="0A000",
                format="jdbc",
                columnName=f"`{field.name}`",
                columnType=shown,
            )


def exists(connection: Connection, table: str) -> bool:
    try:
        connection.run(f"SELECT 1 FROM {table} WHERE 1=0")
    except DriverError as error:
        if error.state in _MISSING or (connection.kind != POSTGRES and "no such table" in error.message):
            return False
        raise
    return True


def create(connection: Connection, table: str, schema: spark.StructType, options: JdbcOptions) -> None:
    """Make a table for rows of that schema. Raises what is wrong with `createTableColumnTypes`."""
    chosen = _chosen(connection.kind, schema, options)
    columns = []
    for field in schema:
        kind = next((text for name, text in chosen if options.same(name, field.name)), None)
        kind = kind or database_type(field.dataType, connection.kind, options)
        columns.append(f"{sql_text.name(field.name)} {kind}{'' if field.nullable else ' NOT NULL'}")
    more = options.given.text("createTableOptions")
    connection.run(f"CREATE TABLE {table} ({', '.join(columns)}) {more}".rstrip())
    if comment := options.given.text("tableComment"):
        try:
            connection.run(f"COMMENT ON TABLE {table} IS {sql_text.text(comment)}")
        except DriverError as error:
            _log.warning("The comment of a table cannot be set: %s", error.message)


def _chosen(database: str, schema: spark.StructType, options: JdbcOptions) -> list[tuple[str, str]]:
    text = options.given.text("createTableColumnTypes")
    if not text:
        return []
    fields = ddl.fields(text)
    databases.check_unique([field.name for field in fields], options)
    for field in fields:
        if not any(options.same(field.name, name) for name in schema.fieldNames()):
            raise AnalysisError(
                f"createTableColumnTypes option column {field.name} not found in schema {schema.simpleString()}.",
                condition="_LEGACY_ERROR_TEMP_1171",
            )
    return [(field.name, database_type(field.dataType, database, options)) for field in fields]


def truncate(connection: Connection, table: str, options: JdbcOptions) -> None:
    """Empty a table of PostgreSQL, but not those that inherit from it."""
    cascade = " CASCADE" if options.given.flag("cascadeTruncate") else ""
    connection.run(f"TRUNCATE TABLE ONLY {table}{cascade}")


def drop(connection: Connection, table: str) -> None:
    connection.run(f"DROP TABLE {table}")


def matched(table: str, schema: spark.StructType, existing: Sequence[str], options: JdbcOptions) -> list[str]:
    """For each column of the rows the table's name of it. Raises COLUMN_NOT_DEFINED_IN_TABLE."""
    found = []
    for field in schema:
        name = next((name for name in existing if options.same(name, field.name)), None)
        if name is None:
            kind = f'"{field.dataType.simpleString().upper()}"'
            names = ", ".join(f"`{each}`" for each in schema.fieldNames())
            raise AnalysisError.of(
                "COLUMN_NOT_DEFINED_IN_TABLE",
                f"{kind} column `{field.name}` is not defined in table `{table}`, defined table columns are: {names}.",
                sql_state="42703",
                colType=kind,
                colName=f"`{field.name}`",
                tableName=f"`{table}`",
                tableCols=names,
            )
        found.append(name)
    return found
