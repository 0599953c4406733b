"""SQLite's types as Spark's: by what a column was declared as, for its values may be of any type.

Each value is asked for as its column's type, as SQLite's JDBC driver asks for it. The driver of ADBC chooses types by
the first rows it sees: so the first row of each query is one of ours, and is left out again.
Sources: sqlite-jdbc, `JDBC3ResultSet.getColumnType`, `JDBC3ResultSet.getTimestamp`; `JdbcUtils.getCatalystType`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import types as spark
from pyspark.sql.datasource import Filter, StringContains, StringEndsWith, StringStartsWith
from pyspark.sql.pandas.types import to_arrow_type

from riacho.connectors.jdbc import sql_text, values
from riacho.connectors.jdbc.connection import Connection
from riacho.connectors.jdbc.options import JdbcOptions
from riacho.connectors.jdbc.targets import Target
from riacho.errors import SparkGeneralError

_DECLARED: Final = re.compile(r"\s*([^(]*?)\s*(?:\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\).*)?", re.DOTALL)
_KINDS: Final[dict[str, spark.DataType]] = {
    "BOOLEAN": spark.BooleanType(),
    "TINYINT": spark.IntegerType(),
    "SMALLINT": spark.IntegerType(),
    "INT2": spark.IntegerType(),
    "INTEGER": spark.IntegerType(),
    "INT": spark.LongType(),
    "MEDIUMINT": spark.LongType(),
    "BIGINT": spark.DecimalType(20, 0),
    "INT8": spark.DecimalType(20, 0),
    "UNSIGNED BIG INT": spark.DecimalType(20, 0),
    "REAL": spark.DoubleType(),
    "DOUBLE": spark.DoubleType(),
    "DOUBLE PRECISION": spark.DoubleType(),
    "FLOAT": spark.FloatType(),
    "DATE": spark.DateType(),
    "DATETIME": spark.TimestampType(),
    "TIMESTAMP": spark.TimestampType(),
    "BINARY": spark.BinaryType(),
    "BLOB": spark.BinaryType(),
    **dict.fromkeys(
        ("CHARACTER", "NCHAR", "NATIVE CHARACTER", "CHAR", "CLOB", "VARCHAR", "VARYING CHARACTER", "NVARCHAR", "TEXT"),
        spark.StringType(),
    ),
}
"""The driver takes all whole numbers but INTEGER for unsigned ones; what is not here is a number of any kind."""
_PADDED: Final = ("CHAR", "CHARACTER", "NCHAR", "NATIVE CHARACTER")
_WRONG_TIME: Final = -(2**63)
_OURS: Final = sql_text.name("riacho row")


@dataclass(frozen=True)
class SqliteColumn:
    """A column. `width`: to which texts are filled up with blanks, or 0. See `filters.Comparable`."""

    name: str
    kind: spark.DataType
    width: int = 0

    @property
    def presence(self) -> str:
        return sql_text.name(self.name)

    @property
    def selected(self) -> list[str]:
        return [_expression(self.presence, self.kind)]

    def made(self, columns: list[pa.Array], arrow: pa.DataType, position: int) -> pa.Array:  # noqa: ARG002
        """Raises SparkGeneralError for what is no number, date or time."""
        (column,) = columns
        if pa.types.is_boolean(arrow):
            return pc.not_equal(column, 0)
        if pa.types.is_decimal(arrow):
            return values.decimals(column, arrow)
        if pa.types.is_timestamp(arrow) or pa.types.is_date(arrow):
            if pc.min(column).as_py() == _WRONG_TIME:
                raise SparkGeneralError("Job aborted due to stage failure: Error parsing time stamp")
            return column.cast(pa.timestamp("us")).cast(arrow, safe=False)
        if self.width:
            return pc.utf8_rpad(column, self.width)
        try:
            return column.cast(arrow)
        except pa.ArrowInvalid as error:
            raise SparkGeneralError(
                f"Job aborted due to stage failure: the column {self.name} has a value that is no "
                f"{self.kind.simpleString().upper()} ({error}). Read it as another type: option customSchema, such as "
                f"'{self.name} BIGINT'."
            ) from None

    @property
    def exact(self) -> str | None:
        if isinstance(self.kind, spark.StringType):  # by their bytes, whatever COLLATE a column was declared with
            return f"{f'rtrim({self.selected[0]})' if self.width else self.selected[0]} COLLATE BINARY"
        return self.selected[0] if isinstance(self.kind, spark.IntegralType | spark.DoubleType) else None

    @property
    def quick(self) -> str | None:
        return self.exact

    @property
    def is_padded(self) -> bool:
        return self.width > 0

    def literal(self, value: Any) -> str | None:
        if isinstance(self.kind, spark.StringType):
            plain = isinstance(value, str) and "\0" not in value
            return sql_text.text(value.rstrip(" ") if self.width else value) if plain else None
        if isinstance(value, float):
            return repr(value) if abs(value) < float("inf") else None
        return f"{value:f}" if isinstance(value, Decimal) else str(value) if type(value) is int else None

    def matches(self, kind: type[Filter], value: str) -> str | None:
        if self.exact is None or not isinstance(self.kind, spark.StringType) or self.width:
            return None
        if not value or "\0" in value:
            return None
        told, length = sql_text.text(value), len(value)
        return {
            StringStartsWith: f"substr({self.exact}, 1, {length}) = {told}",
            StringEndsWith: f"substr({self.exact}, -{length}) = {told}",
            StringContains: f"instr({self.exact}, {told}) > 0",
        }[kind]


def describe(connection: Connection, options: JdbcOptions, query: str) -> list[SqliteColumn]:
    """The columns that `query`, about the relation of `options`, would give. Raises DriverError."""
    names = connection.columns(query).names
    connection.run(f"CREATE TEMPORARY VIEW {_VIEW} AS {options.before_select}SELECT * FROM {options.relation}")
    try:
        rows = connection.table(_TYPES).to_pylist()
    finally:
        connection.run(f"DROP VIEW temp.{_VIEW}")
    return [_column(name, row["type"]) for name, row in zip(names, rows, strict=True)]


_VIEW: Final = "riacho_columns"
_TYPES: Final = f"""
SELECT CASE WHEN v.type = 'BLOB' AND NOT EXISTS (
    SELECT 1 FROM sqlite_master AS m, pragma_table_info(m.name) AS p
    WHERE m.type = 'table' AND p.name = v.name COLLATE NOCASE AND upper(p.type) IN ('BLOB', 'BINARY')
  ) THEN '' ELSE coalesce(v.type, '') END AS type
FROM pragma_table_info('{_VIEW}') AS v ORDER BY v.cid
"""
"""A view's columns that were declared without a type, and expressions, are said to be BLOB: they are none if no table
has such a column."""


def _column(name: str, declared: str) -> SqliteColumn:
    found = _DECLARED.fullmatch(declared)
    base = found[1].upper() if found else ""
    precision, scale = (int(found[2] or 0), int(found[3] or 0)) if found else (0, 0)
    if base not in _KINDS:
        known = 0 < max(precision, scale) <= 38
        return SqliteColumn(name, spark.DecimalType(max(precision, scale), scale) if known else _any_number())
    return SqliteColumn(name, _KINDS[base], precision if base in _PADDED else 0)


def _any_number() -> spark.DecimalType:
    return spark.DecimalType(38, 18)


def custom(column: SqliteColumn, kind: spark.DataType) -> SqliteColumn:
    """The column with a type that the user chose."""
    return replace(column, kind=kind, width=0)


def _expression(quoted: str, kind: spark.DataType) -> str:
    if isinstance(kind, spark.IntegralType | spark.BooleanType):
        return f"CAST({quoted} AS INTEGER)"
    if isinstance(kind, spark.FloatType | spark.DoubleType):
        return f"CAST({quoted} AS REAL)"
    if isinstance(kind, spark.BinaryType):
        return f"CAST({quoted} AS BLOB)"
    if isinstance(kind, spark.DateType | spark.TimestampType | spark.TimestampNTZType):
        micros = f"CAST(round((julianday({quoted}) - 2440587.5) * 86400000) AS INTEGER) * 1000"
        return (
            f"CASE typeof({quoted}) WHEN 'null' THEN NULL WHEN 'integer' THEN {quoted} * 1000 "
            f"ELSE coalesce({micros}, {_WRONG_TIME + 1} - 1) END"
        )
    return f"CAST({quoted} AS TEXT)"


_FIRST: Final[tuple[tuple[type[spark.DataType], str], ...]] = (
    (spark.IntegralType, "0"),
    (spark.BooleanType, "0"),
    (spark.FloatType, "0.5"),
    (spark.DoubleType, "0.5"),
    (spark.BinaryType, "x'00'"),
    (spark.DateType, "0"),
    (spark.TimestampType, "0"),
    (spark.TimestampNTZType, "0"),
)


def query_of(kinds: Iterable[spark.DataType], select: str) -> str:
    """A query whose first row tells the types of its columns. `select`: one that asks for columns of these types."""
    first = [next((text for kind, text in _FIRST if isinstance(each, kind)), "''") for each in kinds]
    begin, _, rest = select.partition("SELECT ")
    return f"{begin}SELECT 1 AS {_OURS}, {', '.join(first or ['1'])} UNION ALL SELECT 0, {rest}"


def without_ours(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The rows of the database alone."""
    return batch.filter(pc.equal(batch.column(0), 0)).select(range(1, batch.num_columns))


def targets(names: Sequence[str], schema: spark.StructType) -> list[Target]:
    """Where each column of rows of that schema goes. Decimals go as text, and times as milliseconds since 1970."""
    return [Target(name, _sent(field.dataType)) for name, field in zip(names, schema, strict=True)]


def _sent(kind: spark.DataType) -> pa.DataType:
    if isinstance(kind, spark.DateType | spark.TimestampType | spark.TimestampNTZType | spark.IntegralType):
        return pa.int64()
    if isinstance(kind, spark.BooleanType):
        return pa.int64()
    if isinstance(kind, spark.DecimalType):
        return pa.string()
    if isinstance(kind, spark.FloatType):
        return pa.float64()
    arrow: pa.DataType = to_arrow_type(kind)
    return arrow


def insert_of(table: str, columns: Sequence[Target]) -> str:
    """The statement that one row is inserted with."""
    names = ", ".join(sql_text.name(column.name) for column in columns)
    return f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' for _ in columns)})"
