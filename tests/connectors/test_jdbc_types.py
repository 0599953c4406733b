"""Every type of PostgreSQL, read and written: the same rows and types on riacho and on Spark."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from pyspark.sql import SparkSession

from tests.connectors.jdbc import asked, reader, refusal, url_of, values, write
from tests.connectors.postgres import Database

at = datetime.fromisoformat
UUID = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
TYPES: tuple[tuple[str, str, str, Any], ...] = (
    # a column's type, a value as SQL, Spark's type, the value there
    ("bool", "true", "boolean", True),
    ("int2", "32767", "smallint", 32767),
    ("int4", "-2147483648", "int", -(2**31)),
    ("int8", "9223372036854775807", "bigint", 2**63 - 1),
    ("oid", "4294967295", "decimal(20,0)", Decimal(2**32 - 1)),
    ("float4", "1.5", "float", 1.5),
    ("float8", "'-Infinity'", "double", float("-inf")),
    ("numeric", "123.456", "decimal(38,18)", Decimal("123.456000000000000000")),
    ("numeric(10,2)", "12345678.91", "decimal(10,2)", Decimal("12345678.91")),
    ("numeric(38,0)", "12345678901234567890123456789012345678", "decimal(38,0)",
     Decimal(12345678901234567890123456789012345678)),
    ("numeric(3,5)", "0.00123", "decimal(5,5)", Decimal("0.00123")),
    ("numeric(60,10)", "1234567890.0123456789", "decimal(38,0)", Decimal(1234567890)),
    ("numeric(45,20)", "1.5", "decimal(38,13)", Decimal("1.5000000000000")),
    ("money", "1234.5", "string", "$1,234.50"),
    ("text", "'é'", "string", "é"),
    ("varchar(5)", "'five5'", "string", "five5"),
    ("char(5)", "'ab'", "string", "ab   "),
    ('"char"', "'x'", "string", "x"),
    ("name", "'nm'", "string", "nm"),
    ("bytea", "'\\x00ff10'", "binary", b"\x00\xff\x10"),
    ("date", "'2020-02-29'", "date", date(2020, 2, 29)),
    ("time", "'12:34:56.789123'", "timestamp", at("1970-01-01 12:34:56.789000")),
    ("timetz", "'12:34:56+02'", "timestamp", at("1970-01-01 10:34:56")),
    ("timestamp", "'2020-02-29 12:34:56.789123'", "timestamp", at("2020-02-29 12:34:56.789123")),
    ("timestamptz", "'2020-02-29 12:34:56.789123+02'", "timestamp", at("2020-02-29 10:34:56.789123")),
    ("interval", "'1 year 2 mons 3 days 04:05:06.7'", "string", "1 year 2 mons 3 days 04:05:06.7"),
    ("uuid", f"'{UUID}'", "string", UUID),
    ("json", "'{\"a\": 1}'", "string", '{"a": 1}'),
    ("jsonb", "'{\"b\":[1,2]}'", "string", '{"b": [1, 2]}'),
    ("xml", "'<a>1</a>'", "string", "<a>1</a>"),
    ("bit(1)", "'1'", "boolean", True),
    ("bit(4)", "'1010'", "binary", b"1010"),
    ("varbit", "'101'", "string", "101"),
    ("inet", "'10.0.0.1/8'", "string", "10.0.0.1/8"),
    ("macaddr", "'08:00:2b:01:02:03'", "string", "08:00:2b:01:02:03"),
    ("mood", "'ok'", "string", "ok"),
    ("pair", "'(1,two)'", "string", "(1,two)"),
    ("small", "5", "int", 5),
    ("int4range", "'[1,5)'", "string", "[1,5)"),
    ("point", "'(1,2)'", "string", "(1,2)"),
    ("tsvector", "'a:1 b'", "string", "'a':1 'b'"),
    ("pg_lsn", "'16/B374D848'", "string", "16/B374D848"),
    ("int[]", "'{1,2,NULL}'", "array<int>", [1, 2, None]),
    ("int[][]", "'{{1,2},{3,4}}'", "array<array<int>>", [[1, 2], [3, 4]]),
    ("int8[]", "'[5:6]={1,2}'", "array<bigint>", [1, 2]),
    ("text[]", "'{a,\"b c\",NULL}'", "array<string>", ["a", "b c", None]),
    ("text[][]", "'{{a,\"b\\\"c\"},{NULL,d}}'", "array<array<string>>", [["a", 'b"c'], [None, "d"]]),
    ("numeric(10,2)[]", "'{1.5,2}'", "array<decimal(10,2)>", [Decimal("1.50"), Decimal("2.00")]),
    ("numeric[]", "'{1.5}'", "array<decimal(38,18)>", [Decimal("1.500000000000000000")]),
    ("bool[]", "'{t,f}'", "array<boolean>", [True, False]),
    ("timestamp[]", "'{2020-01-01 00:00:00}'", "array<timestamp>", [at("2020-01-01 00:00:00")]),
    ("timestamptz[]", "'{2020-01-01 02:00:00+02}'", "array<timestamp>", [at("2020-01-01 00:00:00")]),
    ("date[]", "'{2020-01-01}'", "array<date>", [date(2020, 1, 1)]),
    ("uuid[]", f"'{{{UUID}}}'", "array<string>", [UUID]),
    ("jsonb[]", "ARRAY['{\"a\": 1}'::jsonb]", "array<string>", ['{"a": 1}']),
    ("mood[]", "'{sad,ok}'", "array<string>", ["sad", "ok"]),
    ("bytea[]", "ARRAY['\\x01ff'::bytea]", "array<binary>", [b"\x01\xff"]),
    ("char(3)[]", "'{a}'", "array<string>", ["a  "]),
    ("bit(3)[]", "'{101}'", "array<binary>", [b"101"]),
    ("bit(1)[]", "'{1}'", "array<boolean>", [True]),
    ("float4[]", "'{1.5}'", "array<float>", [1.5]),
    ("float8[]", "'{2.5}'", "array<double>", [2.5]),
    ("int2[]", "'{1}'", "array<smallint>", [1]),
    ("pair[]", "ARRAY[(1,'x')::pair]", "array<string>", ["(1,x)"]),
)  # fmt: skip
NAMED = (
    "CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TYPE pair AS (a int, b text); "
    "CREATE DOMAIN small AS int CHECK (value > 0)"
)


def test_a_table_of_every_type(spark: SparkSession, postgres: Database) -> None:
    postgres.execute(NAMED)
    columns = ", ".join(f"c{i} {kind}" for i, (kind, _, _, _) in enumerate(TYPES))
    postgres.execute(f"CREATE TABLE every ({columns}, k int)")
    listed = ", ".join(value for _, value, _, _ in TYPES)
    postgres.execute(f"INSERT INTO every VALUES ({listed}, 1)")
    postgres.execute("INSERT INTO every (k) VALUES (2)")
    frame = reader(spark, postgres, dbtable="every")
    shown = [(kind, field.dataType.simpleString()) for (kind, *_), field in zip(TYPES, frame.schema, strict=False)]
    assert shown == [(kind, expected) for kind, _, expected, _ in TYPES]
    assert all(field.nullable for field in frame.schema)
    first, second = values(frame.orderBy("k"))
    assert [(kind, value) for (kind, *_), value in zip(TYPES, first, strict=False)] == [
        (kind, value) for kind, _, _, value in TYPES
    ]
    assert second[:-1] == (None,) * len(TYPES)
    # A query over the table knows as much.
    assert reader(spark, postgres, query="SELECT * FROM every").schema.simpleString() == frame.schema.simpleString()


def test_values_at_the_edge(spark: SparkSession, postgres: Database) -> None:
    query = (
        "SELECT 'infinity'::date, '-infinity'::date AS b, 'infinity'::timestamp, '-infinity'::timestamptz AS d, "
        "0.1234567890123456785::numeric AS e, -0.1234567890123456785::numeric AS f, 'NaN'::float8 AS g, "
        "'1500-01-01'::date AS h, '0001-01-01 00:00:00+00'::timestamptz AS i, time '24:00' AS j, '{}'::int[] AS k"
    )
    (row,) = asked(spark, postgres, query)
    assert row[6] != row[6]
    endless = (date(9999, 12, 31), date(1, 1, 3), at("9999-12-31 23:59:59.999000"), at("0001-01-03 00:00:00"))
    assert row[:4] == endless
    assert row[4:6] == (Decimal("0.123456789012345679"), Decimal("-0.123456789012345679"))
    assert row[7:] == (date(1500, 1, 1), at("0001-01-01 00:00:00"), at("1970-01-02 00:00:00"), [])


def test_numbers_and_arrays_that_do_not_fit_are_errors(spark: SparkSession, postgres: Database) -> None:
    for query, said in (
        ("SELECT 1e30::numeric AS a", "[NUMERIC_VALUE_OUT_OF_RANGE.WITHOUT_SUGGESTION]"),
        ("SELECT 'NaN'::numeric AS a", "Bad value for type BigDecimal : NaN"),
        ("SELECT '-Infinity'::numeric AS a", "Bad value for type BigDecimal : -Infinity"),
        ("SELECT ARRAY['NaN'::numeric] AS a", "Bad value for type BigDecimal : NaN"),
        ("SELECT ARRAY[[1,2],[3,4]] AS a", "[COLUMN_ARRAY_ELEMENT_TYPE_MISMATCH]"),
        ("SELECT ARRAY[time '12:00'] AS a", "[COLUMN_ARRAY_ELEMENT_TYPE_MISMATCH]"),
        ("SELECT '294276-12-31 23:59:59'::timestamp AS a", "long overflow"),
    ):
        frame = reader(spark, postgres, query=query)
        assert said in refusal(frame.collect), query
    for query, name in (("SELECT ARRAY[1::money] AS a", "_money"), ("SELECT 'x'::refcursor AS a", "refcursor")):
        said = refusal(partial(reader, spark, postgres, query=query))
        assert f"[UNRECOGNIZED_SQL_TYPE] Unrecognized SQL type - name: {name}, id: " in said


def test_clocks_without_a_zone_can_stay_so(spark: SparkSession, postgres: Database) -> None:
    query = (
        "SELECT timestamp '2020-01-01 12:00' AS a, time '12:00:01.5' AS b, timestamptz '2020-01-01 12:00+00' AS c, "
        "ARRAY[timestamp '2020-01-01 12:00'] AS d"
    )
    frame = reader(spark, postgres, query=query, preferTimestampNTZ=True)
    kinds = "struct<a:timestamp_ntz,b:timestamp_ntz,c:timestamp,d:array<timestamp_ntz>>"
    assert frame.schema.simpleString() == kinds
    noon = at("2020-01-01 12:00:00")
    assert values(frame) == [(noon, at("1970-01-01 12:00:01.500000"), noon, [noon])]


def test_types_that_the_user_chooses(spark: SparkSession, postgres: Database) -> None:
    query = (
        "SELECT 1 AS id, 1.50::numeric AS amount, 'n1' AS name, date '2020-01-02' AS day, true AS yes, 2.9::float8 AS f"
    )
    chosen = "ID string, amount int, name binary, day string, yes string, f decimal(5,2)"
    frame = reader(spark, postgres, query=query, customSchema=chosen)
    kinds = "struct<id:string,amount:int,name:binary,day:string,yes:string,f:decimal(5,2)>"
    assert frame.schema.simpleString() == kinds
    assert values(frame) == [("1", 1, b"n1", "2020-01-02", "t", Decimal("2.90"))]
    arrays = "SELECT ARRAY[1, 2] AS a, ARRAY[1, 2] AS b"
    shown = reader(spark, postgres, query=arrays, customSchema="a string, b array<string>")
    assert values(shown) == [("{1,2}", ["1", "2"])]
    wrong = reader(spark, postgres, query="SELECT 'n1'::text AS name", customSchema="name int")
    assert "n1" in refusal(wrong.collect)
    for text, condition in (("id strin", "UNSUPPORTED_DATATYPE"), ("id int, ID long", "COLUMN_ALREADY_EXISTS")):
        said = refusal(partial(reader, spark, postgres, query="SELECT 1 AS id", customSchema=text))
        assert f"[{condition}]" in said


WRITTEN = (
    # an expression of Spark, the column's type in PostgreSQL, its value as text there
    ("true", "boolean", "true"),
    ("cast(1 as tinyint)", "smallint", "1"),
    ("cast(2 as smallint)", "smallint", "2"),
    ("3", "integer", "3"),
    ("4L", "bigint", "4"),
    ("cast(1.5 as float)", "real", "1.5"),
    ("double('NaN')", "double precision", "NaN"),
    ("1.23BD", "numeric(3,2)", "1.23"),
    ("cast(12345678901234567890.5 as decimal(38,18))", "numeric(38,18)", "12345678901234567890.500000000000000000"),
    ("'é'", "text", "é"),
    ("X'00ff'", "bytea", "\\x00ff"),
    ("date'2020-02-29'", "date", "2020-02-29"),
    ("timestamp'2020-02-29 12:34:56.789123'", "timestamp with time zone", "2020-02-29 12:34:56.789123+00"),
    ("timestamp_ntz'2020-02-29 12:34:56.789123'", "timestamp without time zone", "2020-02-29 12:34:56.789123"),
    ("array(1, null)", "integer[]", "{1,NULL}"),
    ("array('a', 'b\"c', null)", "text[]", '{a,"b\\"c",NULL}'),
    ("array(array(1, 2), array(3, 4))", "integer[]", "{{1,2},{3,4}}"),
    ("array(1.5BD)", "numeric(2,1)[]", "{1.5}"),
    ("array(timestamp'2020-01-01 00:00:00')", "timestamp with time zone[]", '{"2020-01-01 00:00:00+00"}'),
    ("array(cast(1 as tinyint))", "smallint[]", "{1}"),
    ("cast(null as string)", "text", None),
)


def test_tables_are_made_with_types_for_all_columns(spark: SparkSession, postgres: Database) -> None:
    listed = ", ".join(f"{expression} AS c{i}" for i, (expression, _, _) in enumerate(WRITTEN))
    frame = spark.sql(f"SELECT {listed}")
    write(frame, postgres, "made", "error")
    columns = postgres.execute(
        "SELECT format_type(atttypid, atttypmod), NOT attnotnull FROM pg_attribute "
        "WHERE attrelid = 'made'::regclass AND attnum > 0 ORDER BY attnum"
    )
    assert [kind for kind, _ in columns] == [kind for _, kind, _ in WRITTEN]
    assert columns[-1] == ("text", True)
    shown = ", ".join(f"c{i}::text" for i in range(len(WRITTEN)))
    postgres.execute("ALTER DATABASE " + postgres.name + " SET timezone = 'UTC'")
    assert postgres.execute(f"SELECT {shown} FROM made") == [tuple(value for _, _, value in WRITTEN)]
    for expression, kind in (("map('a', 1)", "map<string,int>"), ("struct(1 AS a)", "struct<a:int>"), ("null", "void")):
        said = refusal(partial(write, spark.sql(f"SELECT {expression} AS x"), postgres, "other"))
        assert f"Can't get JDBC type for {kind}." in said


CONVERTED = (
    # what is written, the column's type, its value as text there; or what the error says
    ("1L", "int2", "1"),
    ("100000", "int2", "!smallint out of range"),
    ("3000000000", "int4", "!integer out of range"),
    ("1.239BD", "numeric(5,2)", "1.24"),
    ("12345.6BD", "numeric(5,2)", "!numeric field overflow"),
    ("'abcd'", "varchar(3)", "!value too long for type character varying(3)"),
    ("'ab'", "char(3)", "ab "),
    ("1.5d", "int4", "2"),
    ("1.6BD", "int8", "2"),
    ("1", "varchar(3)", "1"),
    ("1", "numeric(5,2)", "1.00"),
    ("timestamp'2020-01-01 10:00:00'", "date", "2020-01-01"),
    ("timestamp'2020-01-01 10:00:00'", "timestamp", "2020-01-01 10:00:00"),
    ("timestamp_ntz'2020-01-01 10:00:00'", "timestamptz", "2020-01-01 10:00:00+00"),
    ("'1'", "int4", '!column "x" is of type integer but expression is of type character varying'),
    ("1", "bool", '!column "x" is of type boolean but expression is of type integer'),
    ("true", "int4", '!column "x" is of type integer but expression is of type boolean'),
    ("'{}'", "jsonb", '!column "x" is of type jsonb but expression is of type character varying'),
    ("cast(null as string)", "uuid", '!column "x" is of type uuid but expression is of type character varying'),
    ("'a' || chr(0)", "text", '!invalid byte sequence for encoding "UTF8": 0x00'),
)
UNSPECIFIED = (
    (f"'{UUID}'", "uuid", UUID),
    ("'{}'", "jsonb", "{}"),
    ("'1'", "int4", "1"),
    ("'10.0.0.1'", "inet", "10.0.0.1"),
    ("'12:00'", "time", "12:00:00"),
    ("'zz'", "uuid", '!invalid input syntax for type uuid: "zz"'),
)


@pytest.mark.parametrize(("cases", "parameters"), [(CONVERTED, ()), (UNSPECIFIED, ("stringtype=unspecified",))])
def test_what_columns_of_other_types_take(
    spark: SparkSession, postgres: Database, cases: tuple[tuple[str, str, str], ...], parameters: tuple[str, ...]
) -> None:
    postgres.execute("ALTER DATABASE " + postgres.name + " SET timezone = 'UTC'")
    for number, (expression, kind, expected) in enumerate(cases):
        postgres.execute(f"CREATE TABLE t{number} (x {kind})")
        frame = spark.sql(f"SELECT {expression} AS x")
        if expected.startswith("!"):
            said = refusal(partial(write, frame, postgres, f"t{number}", url=url_of(postgres, *parameters)))
            assert expected[1:] in said, expression
            assert postgres.execute(f"SELECT count(*) FROM t{number}") == [(0,)]
        else:
            write(frame, postgres, f"t{number}", url=url_of(postgres, *parameters))
            shown = postgres.execute(f"SELECT concat(x) FROM t{number}")
            assert shown == [(expected,)], expression
