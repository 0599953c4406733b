"""PostgreSQL's types as Spark's: which type a column has, how its values are asked for, what is made of them.

Only types that Arrow has travel as they are; everything else is asked for as text. Wall clocks (TIMESTAMP WITHOUT TIME
ZONE, TIME) are read in UTC, as Spark reads them in the zone of its JVM.
Sources: `org.apache.spark.sql.jdbc.PostgresDialect`, `JdbcUtils.getCatalystType`, pgjdbc's `TypeInfoCache`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import types as spark
from pyspark.sql.datasource import Filter, StringContains, StringEndsWith, StringStartsWith

from riacho import zones
from riacho.connectors.jdbc import sql_text, values
from riacho.connectors.jdbc.connection import Connection
from riacho.connectors.jdbc.options import JdbcOptions
from riacho.connectors.jdbc.url import Address
from riacho.errors import SqlFeatureError

_PLAIN: Final[dict[str, spark.DataType]] = {
    "bool": spark.BooleanType(),
    "int2": spark.ShortType(),
    "int4": spark.IntegerType(),
    "int8": spark.LongType(),
    "oid": spark.DecimalType(20, 0),
    "float4": spark.FloatType(),
    "float8": spark.DoubleType(),
    "bytea": spark.BinaryType(),
    "date": spark.DateType(),
    "timestamptz": spark.TimestampType(),
    "timetz": spark.TimestampType(),
    "void": spark.NullType(),
}
_TEXTS: Final = frozenset({"text", "varchar", "bpchar", "name"})
"""Types that Arrow gets as text by themselves."""
_SIMPLE_NAME: Final = re.compile(r'("([^"]|"")+"|[^\W\d][\w$]*)(\.("([^"]|"")+"|[^\W\d][\w$]*)){0,2}')
_UNNAMED: Final = re.compile(r"unnamed<oid:(\d+)>")


@dataclass(frozen=True)
class PostgresColumn:
    """A column of a result. `base`: the name of its type, or of its elements' type if it has `dimensions`.

    `kind`: what Spark makes of it. It is also what filters see, see `filters.Comparable`.
    """

    name: str
    base: str
    dimensions: int
    kind: spark.DataType
    is_custom: bool = False

    @property
    def selected(self) -> list[str]:
        """What is asked for: an expression, and for arrays their number of dimensions, which COPY does not tell."""
        quoted = self.presence
        if not self.dimensions:
            return [_expression(quoted, self.base, self.kind, custom=self.is_custom)]
        ndims = f"array_ndims({quoted})"
        if self.dimensions > 1:
            return [f"array_to_json({quoted}::text[])::text", ndims]
        return [f"{_elements(quoted, self.base, values.leaf(self.kind))}[:]", ndims]

    def made(self, columns: list[pa.Array], arrow: pa.DataType, position: int) -> pa.Array:
        """The column of what was asked for. Raises what Spark raises for values that do not fit."""
        if not self.dimensions:
            return values.converted(columns[0], self.base, arrow)
        if self.base in ("time", "timetz") and pc.any(pc.greater(columns[1], 0)).as_py():
            raise values.array_mismatch(position, self.kind)
        values.check_dimensions(columns[1], self.dimensions, self.kind, position)
        if self.dimensions > 1:
            return values.nested(columns[0], arrow)
        return values.listed(columns[0], self.base, arrow)

    @property
    def presence(self) -> str:
        return sql_text.name(self.name)

    @property
    def exact(self) -> str | None:
        if self.dimensions or self.is_custom or isinstance(self.kind, spark.NullType) or self.base in _NO_FILTERS:
            return None
        if isinstance(self.kind, spark.StringType):
            shown = self.presence if self.base in _TEXTS else f"{self.presence}::text"
            return f'{shown} COLLATE "C"'
        return self.presence

    @property
    def quick(self) -> str | None:
        return self.presence if self.exact is not None and self.base in _TEXTS else self.exact

    @property
    def is_padded(self) -> bool:
        """Whether blanks at the end do not count: then the database's answer is the one that Spark gives."""
        return self.base == "bpchar" and not self.dimensions

    def literal(self, value: Any) -> str | None:
        kind = self.kind
        if isinstance(kind, spark.BooleanType) and isinstance(value, bool):
            return str(value).lower()
        if isinstance(kind, spark.FloatType | spark.DoubleType) and isinstance(value, float):
            return f"'{value!r}'::{self.base}"
        if isinstance(kind, spark.NumericType) and type(value) in (int, Decimal):
            return f"{value:f}" if isinstance(value, Decimal) else str(value)
        if isinstance(kind, spark.StringType) and isinstance(value, str) and "\0" not in value:
            return sql_text.text(value)
        if isinstance(kind, spark.BinaryType) and isinstance(value, bytes | bytearray):
            return f"'\\x{bytes(value).hex()}'::bytea"
        if isinstance(value, datetime):
            return self._moment(value)
        if isinstance(kind, spark.DateType) and isinstance(value, date):
            return f"'{value.isoformat()}'::date"
        return None

    def _moment(self, value: datetime) -> str | None:
        zoned = value.tzinfo is not None
        if zoned != isinstance(self.kind, spark.TimestampType):
            return None
        plain = value.astimezone(zones.UTC.tzinfo).replace(tzinfo=None) if zoned else value
        text = plain.isoformat(sep=" ", timespec="microseconds")
        return f"'{text}+00'::timestamptz" if self.base == "timestamptz" else f"'{text}'::timestamp"

    def matches(self, kind: type[Filter], value: str) -> str | None:
        if self.exact is None or not isinstance(self.kind, spark.StringType) or self.is_padded or "\0" in value:
            return None
        escaped = value.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        pattern = {StringStartsWith: "{}%", StringEndsWith: "%{}", StringContains: "%{}%"}[kind].format(escaped)
        return f"{self.exact} LIKE {sql_text.text(pattern)}"


_NO_FILTERS: Final = frozenset({"time", "timetz", "oid", "bit"})
"""Types whose comparisons are others than those of the values that Spark has."""


def settings(options: JdbcOptions, where: Address) -> str:
    """What a connection is told first: what texts of times depend on, as pgjdbc tells it, and limits."""
    told = {"TimeZone": "UTC", "DateStyle": "ISO"}
    level = options.given.text("isolationLevel")
    if level != "NONE":
        told["default_transaction_isolation"] = level.replace("_", " ")
    if options.timeout_s:
        told["statement_timeout"] = f"{options.timeout_s}s"
    if where.settings.get("readonly", "").lower() == "true":
        told["default_transaction_read_only"] = "on"
    calls = (f"set_config({sql_text.text(name)}, {sql_text.text(value)}, false)" for name, value in told.items())
    return "SELECT " + ", ".join(calls)


def describe(connection: Connection, options: JdbcOptions, query: str) -> list[PostgresColumn]:
    """The columns that `query`, about the relation of `options`, would give. Raises DatabaseError, SqlFeatureError."""
    schema = connection.columns(query)
    kinds = _type_names(connection, schema)
    extra = _modifiers(connection, options, schema, kinds)
    return [_column(field, kinds[index], extra.get(field.name, (-1, 1)), options) for index, field in enumerate(schema)]


def custom(column: PostgresColumn, kind: spark.DataType) -> PostgresColumn:
    """The column with a type that the user chose."""
    if kind == column.kind:
        return column
    depth, element = 0, kind
    while isinstance(element, spark.ArrayType):
        depth, element = depth + 1, element.elementType
    base = f"_{column.base}" if column.dimensions and not depth else column.base
    return replace(column, base=base, dimensions=depth, kind=kind, is_custom=True)


def _column(field: pa.Field, named: tuple[str, bool], extra: tuple[int, int], options: JdbcOptions) -> PostgresColumn:
    base, is_array = named
    told = (field.metadata or {}).get(b"POSTGRESQL:typmod")
    modifier = int(told) if told is not None else extra[0]
    if base == "refcursor" or (is_array and base == "money"):
        shown, kind = (f"_{base}", "ARRAY") if is_array else (base, "REF_CURSOR")
        raise SqlFeatureError.of(
            "UNRECOGNIZED_SQL_TYPE",
            f"Unrecognized SQL type - name: {shown}, id: {kind}.",
            sql_state="42704",
            typeName=shown,
            jdbcType=kind,
        )
    kind_of = _kind(base, modifier, options, in_array=is_array)
    if not is_array:
        return PostgresColumn(field.name, base, 0, kind_of)
    dimensions = max(extra[1], 1)
    for _ in range(dimensions):
        kind_of = spark.ArrayType(kind_of)
    return PostgresColumn(field.name, base, dimensions, kind_of)


def _kind(base: str, modifier: int, options: JdbcOptions, *, in_array: bool) -> spark.DataType:
    if base in ("numeric", "decimal"):
        return _decimal(modifier, in_array=in_array)
    if base == "bit":
        return spark.BooleanType() if modifier == 1 else spark.BinaryType()
    if base in ("timestamp", "time"):
        return spark.TimestampNTZType() if options.prefers_ntz else spark.TimestampType()
    if base == "oid" and in_array:
        return spark.LongType()
    return _PLAIN.get(base, spark.StringType())


def _decimal(modifier: int, *, in_array: bool) -> spark.DecimalType:
    """By the type modifier; as pgjdbc reads it, a negative scale comes out as a very large one."""
    if modifier < 4:
        return spark.DecimalType(38, 18)
    precision, scale = (modifier - 4) >> 16 & 0xFFFF, (modifier - 4) & 0xFFFF
    if in_array:
        return spark.DecimalType(min(precision, 38), min(scale, 38))
    precision = max(precision, scale)
    if precision <= 38:
        return spark.DecimalType(precision, scale)
    return spark.DecimalType(38, min(max(38 - (precision - scale), 0), 38))


def _type_names(connection: Connection, schema: pa.Schema) -> list[tuple[str, bool]]:
    """For each column the name of its type, and whether it is an array; then the name is of its elements' type."""
    told = [(field.metadata or {}).get(b"POSTGRESQL:type", b"text").decode() for field in schema]
    oids = {name: int(found[1]) for name in told if (found := _UNNAMED.fullmatch(name))}
    known: dict[str, tuple[str, bool]] = {}
    if oids:
        rows = connection.table(
            "SELECT t.oid::int8 AS oid, t.typname::text AS name, (t.typcategory = 'A')::bool AS is_array "
            f"FROM pg_type t WHERE t.oid IN ({', '.join(map(str, oids.values()))})"
        ).to_pylist()
        by_oid = {row["oid"]: row for row in rows}
        for name, oid in oids.items():
            row = by_oid.get(oid, {"name": "text", "is_array": False})
            known[name] = (row["name"].removeprefix("_") if row["is_array"] else row["name"], row["is_array"])
    names = []
    for field, name in zip(schema, told, strict=True):
        is_array = pa.types.is_list(field.type) and name.startswith("_")
        names.append(known.get(name, (name.removeprefix("_") if is_array else name, is_array)))
    return names


def _modifiers(
    connection: Connection, options: JdbcOptions, schema: pa.Schema, kinds: list[tuple[str, bool]]
) -> dict[str, tuple[int, int]]:
    """Type modifier and dimensions of columns whose type does not tell enough: of the table, or of what is alike.

    A result does not tell which table a column is of. So for a query the columns of the same name and type that the
    database has are asked, if they agree.
    """
    asked = [
        (field.name, f"_{base}" if is_array else base)
        for field, (base, is_array) in zip(schema, kinds, strict=True)
        if is_array or base == "bit"
    ]
    if not asked:
        return {}
    if _SIMPLE_NAME.fullmatch(options.relation):
        of = f"a.attrelid = to_regclass({sql_text.text(options.relation)})"
    else:
        wanted = ", ".join(f"({sql_text.text(name)}, {sql_text.text(kind)})" for name, kind in asked)
        of = (
            f"(a.attname::text, t.typname::text) IN ({wanted}) AND c.relnamespace NOT IN "
            "('pg_catalog'::regnamespace, 'information_schema'::regnamespace)"
        )
    rows = connection.table(
        "SELECT a.attname::text AS name, min(a.atttypmod)::int4 AS modifier, max(a.atttypmod)::int4 AS most, "
        "min(a.attndims)::int4 AS dims, max(a.attndims)::int4 AS most_dims "
        "FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_type t ON t.oid = a.atttypid "
        f"WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND {of} "
        "GROUP BY a.attname"
    ).to_pylist()
    return {
        row["name"]: (
            row["modifier"] if row["modifier"] == row["most"] else -1,
            row["dims"] if row["dims"] == row["most_dims"] else 1,
        )
        for row in rows
    }


def _expression(quoted: str, base: str, kind: spark.DataType, *, custom: bool) -> str:
    """What gives the values of a column that is no array, in a type that Arrow has."""
    if isinstance(kind, spark.NullType):
        return "NULL::text"
    if isinstance(kind, spark.StringType):
        if base == "bool":
            return f"CASE WHEN {quoted} THEN 't' WHEN NOT {quoted} THEN 'f' END"
        return quoted if base in _TEXTS else f"{quoted}::text"
    if isinstance(kind, spark.BinaryType):
        return quoted if base == "bytea" else f"{quoted}::text"
    if isinstance(kind, spark.DecimalType):
        return f"{quoted}::int8" if base == "oid" and not custom else f"{quoted}::text"
    if base == "timetz":
        return f"(date '1970-01-01' + {quoted})"
    if not custom:
        return f"({quoted} = B'1')" if base == "bit" else quoted
    return f"{_cast_source(quoted, base, kind)}::{_CASTS[type(kind)]}"


def _cast_source(quoted: str, base: str, kind: spark.DataType) -> str:
    """Numbers lose their fraction on the way to whole ones; everything else goes by its text where it must."""
    if isinstance(kind, spark.IntegralType) and base in ("numeric", "float4", "float8"):
        return f"trunc({quoted}::numeric)"
    if isinstance(kind, spark.BooleanType) or base not in _NUMBERS | _TIMES:
        return f"{quoted}::text"
    return quoted


_NUMBERS: Final = frozenset({"int2", "int4", "int8", "float4", "float8", "numeric"})
_TIMES: Final = frozenset({"date", "timestamp", "timestamptz"})
_CASTS: Final[dict[type[spark.DataType], str]] = {
    spark.BooleanType: "bool",
    spark.ByteType: "int2",
    spark.ShortType: "int2",
    spark.IntegerType: "int4",
    spark.LongType: "int8",
    spark.FloatType: "float4",
    spark.DoubleType: "float8",
    spark.DateType: "date",
    spark.TimestampType: "timestamptz",
    spark.TimestampNTZType: "timestamp",
}


def _elements(quoted: str, base: str, kind: spark.DataType) -> str:
    """An array of one dimension, its elements in a type that Arrow has."""
    if isinstance(kind, spark.StringType):
        return f"({quoted})" if base in ("text", "varchar", "bpchar") else f"({quoted}::text[])"
    if isinstance(kind, spark.DecimalType) or base in ("bit", "timetz", "time"):
        return f"({quoted}::text[])"
    return f"({quoted}::int8[])" if base == "oid" else f"({quoted})"
