"""How rows get into a table of PostgreSQL: straight by COPY, or by way of a temporary table.

COPY takes only values of exactly a column's type. Where a column has another type than JDBC's parameter would have,
the rows are copied into a temporary table of the parameters' types, and one INSERT takes them over: so the database
converts, or refuses, what it would convert or refuse with JDBC.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
from pyspark.sql import types as spark
from pyspark.sql.pandas.types import to_arrow_type

from riacho.connectors.jdbc import sql_text
from riacho.connectors.jdbc.connection import Connection
from riacho.connectors.jdbc.errors import DriverError

ROWS: Final = "riacho_rows"
"""The temporary table."""
_COPIED: Final[dict[type[spark.DataType], tuple[str, ...]]] = {
    spark.BooleanType: ("bool",),
    spark.FloatType: ("float4",),
    spark.DoubleType: ("float8",),
    spark.DecimalType: ("numeric",),
    spark.StringType: ("text", "varchar", "bpchar"),
    spark.BinaryType: ("bytea",),
    spark.DateType: ("date",),
    spark.TimestampType: ("timestamptz", "timestamp"),
    spark.TimestampNTZType: ("timestamp", "timestamptz"),
}
"""The types of columns that COPY fills with a type of Spark. Times are instants of UTC, in which the session is."""
_INTEGERS: Final[dict[str, pa.DataType]] = {"int2": pa.int16(), "int4": pa.int32(), "int8": pa.int64()}
_RANGES: Final = {pa.int16(): "smallint", pa.int32(): "integer", pa.int64(): "bigint"}
_PARAMETERS: Final[dict[type[spark.DataType], str]] = {
    spark.BooleanType: "bool",
    spark.ByteType: "int4",
    spark.ShortType: "int4",
    spark.IntegerType: "int4",
    spark.LongType: "int8",
    spark.FloatType: "float4",
    spark.DoubleType: "float8",
    spark.DecimalType: "numeric",
    spark.StringType: "varchar",
    spark.BinaryType: "bytea",
    spark.DateType: "date",
    spark.TimestampType: "timestamptz",
    spark.TimestampNTZType: "timestamp",
}
"""The types that pgjdbc gives to parameters."""


@dataclass(frozen=True)
class Target:
    """Where one column of the rows goes: the table's `name` of it, and the Arrow type that is sent.

    `staged`: the type of its column in the temporary table; None if COPY fills the table. `cast`: what INSERT converts
    it to, or empty. `as_text`: arrays of several dimensions, which only travel as text.
    """

    name: str
    arrow: pa.DataType
    staged: str | None = None
    cast: str = ""
    as_text: bool = False


@dataclass(frozen=True)
class NamedTable:
    """A table by its parts, as COPY needs them. `copies`: whether COPY does what INSERT would do."""

    name: str
    schema: str
    copies: bool
    types: dict[str, tuple[str, str]]
    """For each column the name of its type, and the type as SQL."""


def table_of(connection: Connection, relation: str) -> NamedTable | None:
    """What the catalog says of a table; None for what is no name of one."""
    try:
        rows = connection.table(
            "SELECT n.nspname::text AS schema, c.relname::text AS name, a.attname::text AS column_name, "
            "t.typname::text AS type, format_type(a.atttypid, a.atttypmod) AS shown, "
            "(c.relkind IN ('r', 'p') AND NOT c.relhasrules AND NOT c.relrowsecurity) AS plain, "
            "(a.attidentity = 'a' OR a.attgenerated <> '') AS made "
            "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            "JOIN pg_attribute a ON a.attrelid = c.oid JOIN pg_type t ON t.oid = a.atttypid "
            f"WHERE c.oid = to_regclass({sql_text.text(relation)}) AND a.attnum > 0 AND NOT a.attisdropped "
            "ORDER BY a.attnum"
        ).to_pylist()
    except DriverError:
        return None
    if not rows:
        return None
    types = {row["column_name"]: (row["type"], row["shown"]) for row in rows}
    made = {row["column_name"] for row in rows if row["made"]}
    copies = bool(rows[0]["plain"])
    return NamedTable(rows[0]["name"], rows[0]["schema"], copies, {} if made and not copies else _without(types, made))


def _without(types: dict[str, tuple[str, str]], made: set[str]) -> dict[str, tuple[str, str]]:
    """Columns that the database fills itself have no type that COPY could be given: INSERT says what it says."""
    return {name: ("", shown) if name in made else (kind, shown) for name, (kind, shown) in types.items()}


def targets(names: list[str], schema: spark.StructType, table: NamedTable | None, *, untyped: bool) -> list[Target]:
    """Where each column of rows of that schema goes. `untyped`: texts take the type of the table's column."""
    pairs = [(name, field.dataType) for name, field in zip(names, schema, strict=True)]
    known = {} if table is None else table.types
    direct = [_copied(name, kind, known.get(name, ("", ""))[0]) for name, kind in pairs]
    if table is not None and table.copies and None not in direct:
        return [target for target in direct if target is not None]
    return [_staged(name, kind, known.get(name, ("", ""))[1], untyped=untyped) for name, kind in pairs]


def _copied(name: str, kind: spark.DataType, column: str) -> Target | None:
    if isinstance(kind, spark.ArrayType):
        element = _copied(name, kind.elementType, column.removeprefix("_")) if column.startswith("_") else None
        if element is None or isinstance(kind.elementType, spark.ArrayType):
            return None
        return Target(name, pa.list_(element.arrow))
    if isinstance(kind, spark.IntegralType):
        return Target(name, _INTEGERS[column]) if column in _INTEGERS else None
    return Target(name, _arrow(kind)) if column in _COPIED.get(type(kind), ()) else None


def _staged(name: str, kind: spark.DataType, shown: str, *, untyped: bool) -> Target:
    if isinstance(kind, spark.ArrayType):
        if isinstance(kind.elementType, spark.ArrayType):
            return Target(name, pa.string(), "text", shown, as_text=True)
        element = _staged(name, kind.elementType, "", untyped=False)
        return Target(name, pa.list_(element.arrow), f"{element.staged}[]")
    if untyped and isinstance(kind, spark.StringType):
        return Target(name, pa.string(), "text", shown)
    narrow = isinstance(kind, spark.ByteType | spark.ShortType)
    return Target(name, pa.int32() if narrow else _arrow(kind), _PARAMETERS[type(kind)])


def _arrow(kind: spark.DataType) -> pa.DataType:
    arrow: pa.DataType = to_arrow_type(kind, timezone="UTC")
    return arrow


def sent(column: pa.Array, target: Target) -> pa.Array:
    """A column of the rows as it is sent. Raises DriverError for a number that the table's column has no room for."""
    if target.as_text:
        return pa.array([None if value is None else literal(value) for value in column.to_pylist()], pa.string())
    if column.type == target.arrow:
        return column
    if pa.types.is_int64(target.arrow) and pa.types.is_temporal(column.type):  # milliseconds, as SQLite has times
        millis = pa.timestamp("ms", column.type.tz if pa.types.is_timestamp(column.type) else None)
        return column.cast(millis, safe=False).cast(pa.int64())
    try:
        return column.cast(target.arrow)
    except pa.ArrowInvalid:
        leaf = target.arrow.value_type if pa.types.is_list(target.arrow) else target.arrow
        raise DriverError(f"ERROR: {_RANGES.get(leaf, 'value')} out of range", "22003") from None


def literal(value: Any) -> str:
    """An array, or a value in one, as PostgreSQL writes it."""
    if value is None:
        return "NULL"
    if isinstance(value, list):
        return "{" + ",".join(literal(each) for each in value) + "}"
    if isinstance(value, bool):
        return "t" if value else "f"
    text = "\\x" + value.hex() if isinstance(value, bytes) else str(value)
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
