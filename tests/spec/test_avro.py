# ruff: noqa: E501, DTZ001
"""`from_avro`, `to_avro` and `schema_of_avro`: types, bytes, names, evolution, damaged messages, streams."""

from __future__ import annotations

import json
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.avro.functions import from_avro, to_avro

from tests.spec.support import finish, rows

EVENT = json.dumps(
    {
        "type": "record",
        "name": "Event",
        "namespace": "shop",
        "fields": [
            {"name": "id", "type": "long"},
            {"name": "name", "type": ["null", "string"], "default": None},
            {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
            {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["NEW", "OLD"]}},
            {"name": "tags", "type": {"type": "array", "items": "string"}},
            {"name": "size", "type": {"type": "map", "values": "int"}},
            {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
        ],
    }
)
EVENT_TYPE = (
    "struct<id:bigint,name:string,at:timestamp,kind:string,tags:array<string>,size:map<string,int>,price:decimal(9,2)>"
)

VALUES: list[tuple[str, str, str, Any]] = [
    ('"boolean"', "01", "boolean", True),
    ('"boolean"', "02", "boolean", False),
    ('"int"', "01", "int", -1),
    ('"int"', "8080808010", "int", 0),
    ('"long"', "FFFFFFFFFFFFFFFFFF01", "bigint", -(1 << 63)),
    ('"float"', "0000C03F", "float", 1.5),
    ('"double"', "000000000000F83F", "double", 1.5),
    ('"string"', "06C3A961", "string", "éa"),
    ('"bytes"', "040A0B", "binary", b"\n\x0b"),
    ('{"type":"fixed","name":"F","size":2}', "0A0B", "binary", b"\n\x0b"),
    ('{"type":"enum","name":"E","symbols":["A","B"]}', "02", "string", "B"),
    ('{"type":"int","logicalType":"date"}', "01", "date", date(1969, 12, 31)),
    ('{"type":"long","logicalType":"timestamp-millis"}', "02", "timestamp", datetime(1970, 1, 1, 0, 0, 0, 1000)),
    ('{"type":"long","logicalType":"timestamp-micros"}', "02", "timestamp", datetime(1970, 1, 1, 0, 0, 0, 1)),
    ('{"type":"long","logicalType":"local-timestamp-millis"}', "02", "timestamp_ntz", datetime(1970, 1, 1, 0, 0, 0, 1000)),
    ('{"type":"long","logicalType":"timestamp-nanos"}', "02", "bigint", 1),
    ('{"type":"int","logicalType":"time-millis"}', "02", "int", 1),
    ('{"type":"string","logicalType":"uuid"}', "0261", "string", "a"),
    ('{"type":"bytes","logicalType":"decimal","precision":5,"scale":2}', "02F6", "decimal(5,2)", Decimal("-0.10")),
    ('{"type":"bytes","logicalType":"decimal","precision":4,"scale":2}', "28" + "00" * 19 + "0A", "decimal(4,2)", Decimal("0.10")),
    ('{"type":"fixed","name":"F","size":9,"logicalType":"decimal","precision":20,"scale":0}', "FF" * 9, "decimal(20,0)", Decimal(-1)),
    ('{"type":"fixed","name":"F","size":2,"logicalType":"decimal","precision":9,"scale":2}', "0102", "binary", b"\x01\x02"),
    ('{"type":"array","items":"int"}', "0402040002", "array<int>", [1, 2]),
    ('{"type":"array","items":"int"}', "03040204020600", "array<int>", [1, 2, 3]),
    ('{"type":"map","values":"int"}', "0402610202610400", "map<string,int>", {"a": 2}),
    ('["int","long"]', "0202", "bigint", 1),
    ('["null","int","long"]', "00", "bigint", None),
    ('"null"', "", "void", None),
    ('["string","null"]', "000261", "string", "a"),
]  # fmt: skip


def decoded(spark: SparkSession, schema: str, message: str, options: dict[str, str] | None = None) -> DataFrame:
    return spark.sql(f"SELECT X'{message}' AS v").select(from_avro("v", schema, options).alias("x"))


def refusal(frame: DataFrame) -> str:
    with pytest.raises(PySparkException) as raised:
        frame.collect()
    return f"{raised.value.getCondition()}: {raised.value}"


def test_every_type_is_read_as_spark_reads_it(spark: SparkSession) -> None:
    columns = [
        from_avro(F.unhex(F.lit(message)), schema).alias(f"c{at}") for at, (schema, message, _, _) in enumerate(VALUES)
    ]
    frame = spark.range(1).select(*columns)
    assert [f.dataType.simpleString() for f in frame.schema] == [kind for _, _, kind, _ in VALUES]
    assert list(frame.collect()[0]) == [value for _, _, _, value in VALUES]


def test_a_record_comes_back_as_it_was(spark: SparkSession) -> None:
    frame = spark.sql(
        """SELECT CAST(id AS BIGINT) AS id, IF(id = 1, NULL, 'n' || id) AS name, timestamp_millis(id * 1000) AS at,
                  IF(id = 0, 'NEW', 'OLD') AS kind, array('a', string(id)) AS tags, map('k', CAST(id AS INT)) AS size,
                  CAST(id AS DECIMAL(9, 2)) AS price FROM range(3)"""
    )
    messages = frame.select(to_avro(F.struct("*"), EVENT).alias("value"))
    back = messages.select(from_avro("value", EVENT).alias("e"))
    assert back.schema["e"].dataType.simpleString() == EVENT_TYPE
    assert [f.nullable for f in back.schema["e"].dataType] == [False, True, False, False, False, False, False]  # type: ignore[attr-defined]
    assert rows(back.select("e.*")) == rows(frame)
    permissive = messages.select(from_avro("value", EVENT, {"mode": "PERMISSIVE"}).alias("e"))
    assert all(f.nullable for f in permissive.schema["e"].dataType)  # type: ignore[attr-defined]
    assert rows(permissive.select("e.*")) == rows(frame)


def test_columns_are_named_after_the_call(spark: SparkSession) -> None:
    frame = spark.sql("SELECT X'02' AS value, 1 AS i")
    named = frame.select(from_avro("value", '"int"'), from_avro("value", '"int"', {"mode": "FAILFAST"}), to_avro("i"))
    assert named.columns == [
        'from_avro(value, "int", NULL)',
        'from_avro(value, "int", map(mode, FAILFAST))',
        "to_avro(i, NULL)",
    ]
    asked = frame.selectExpr("""from_avro(value, '"int"')""", """to_avro(i, '"int"')""", """schema_of_avro('"int"')""")
    assert asked.columns == ['from_avro(value, "int", NULL)', 'to_avro(i, "int")', 'schema_of_avro("int", NULL)']
    assert rows(asked) == [(1, b"\x02", "INT")]
    record = '{"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"s","type":["null","string"]}]}'
    assert rows(spark.sql(f"SELECT schema_of_avro('{record}', map())")) == [("STRUCT<a: INT NOT NULL, s: STRING>",)]


def test_they_are_functions_wherever_one_may_stand(spark: SparkSession) -> None:
    spark.sql("SELECT X'02' AS v UNION ALL SELECT X'04' UNION ALL SELECT X'02'").createOrReplaceTempView("messages")
    number = """from_avro(v, '"int"')"""
    assert rows(spark.sql(f"SELECT count(*) FROM messages WHERE {number} = 2")) == [(1,)]
    assert rows(spark.sql(f"SELECT sum({number}) FROM messages")) == [(4,)]
    assert rows(spark.table("messages").groupBy(from_avro("v", '"int"').alias("n")).count()) == [(1, 2), (2, 1)]
    assert [r[0] for r in spark.sql(f"SELECT {number} FROM messages ORDER BY {number} DESC").collect()] == [2, 1, 1]
    joined = spark.sql(f"SELECT id FROM messages JOIN range(3) ON {number} = id")
    assert rows(joined) == [(1,), (1,), (2,)]
    spark.sql(f"CREATE OR REPLACE TEMP VIEW numbers AS SELECT {number} AS n, {number} * 2 AS twice FROM messages")
    assert rows(spark.table("numbers").distinct()) == [(1, 2), (2, 4)]
    assert (
        rows(spark.sql("SELECT CASE WHEN n = 1 THEN to_avro(n, '\"int\"') END AS b FROM numbers WHERE n = 1"))
        == [(b"\x02",)] * 2
    )


def test_the_first_bytes_of_a_message_are_cut_off(spark: SparkSession) -> None:
    framed = spark.sql("SELECT X'00000000FF02' AS value, 6 AS n UNION ALL SELECT NULL, 6 UNION ALL SELECT X'00', NULL")
    found = framed.select(
        from_avro(F.expr("substring(value, 6, length(value) - 5)"), '"int"', {"mode": "PERMISSIVE"}),
        from_avro(F.substring("value", 6, 1000), '"int"', {"mode": "PERMISSIVE"}),
        F.substring("value", 2, 4),
        F.expr("substr(value, n)"),
        F.expr("left(value, 2)"),
        F.expr("substring(value, -2)"),
        F.expr("substring(value, -9, 4)"),
        F.expr("hex(substring(value, 2, 4))"),
    )
    assert [f.dataType.simpleString() for f in found.schema] == ["int", "int", *["binary"] * 5, "string"]
    assert sorted(map(tuple, found.collect()), key=str) == sorted(
        [
            (1, 1, b"\x00\x00\x00\xff", b"\x02", b"\x00\x00", b"\xff\x02", b"\x00", "000000FF"),
            (None,) * 8,
            (None, None, b"", None, b"\x00", b"\x00", b"", ""),
        ],
        key=str,
    )


def test_a_function_of_ones_own_is_given_what_spark_gives_it(spark: SparkSession) -> None:
    shown = F.udf(lambda value: f"{value!r}", "string")
    frame = spark.sql("SELECT X'00FF02' AS value, '2' AS s, 3 AS i")
    found = frame.select(
        shown(F.substring("value", 2, 2)), shown(F.col("s") * 2), shown(from_avro(F.lit(b"\4"), '"int"'))
    )
    assert [eval(text) for text in found.collect()[0]] in ([b"\xff\x02", 4, 2], [bytearray(b"\xff\x02"), 4, 2])


def test_a_damaged_message_is_an_error_or_nulls(spark: SparkSession) -> None:
    record = '{"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"s","type":["null","string"]}]}'
    damaged = [
        (record, "0402"),  # ends too early
        (record, "020802"),  # no such branch
        (record, ""),
        ('{"type":"enum","name":"E","symbols":["A","B"]}', "04"),
        ('"string"', "03"),  # a negative length
        ('"int"', "808080808001"),
        ('"long"', "FFFFFFFFFFFFFFFFFFFF01"),
        ('{"type":"bytes","logicalType":"decimal","precision":3,"scale":2}', "0601E240"),
        ('{"type":"bytes","logicalType":"decimal","precision":3,"scale":2}', "00"),
        ('{"type":"array","items":"int"}', "FEFFFFFF0F0202"),
        ('{"type":"array","items":"int"}', "0402"),
        ('{"type":"long","logicalType":"timestamp-millis"}', "FEFFFFFFFFFFFFFFFF01"),
        ('["null","string"]', "00"),  # a field may be null, but not a whole message
        ('["int","string"]', "0002"),  # a union of several types is read inside a record only
        ('{"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"A","type":"int"}]}', "0204"),
    ]
    nothing: dict[str, Any] = {record: (None, None), '["int","string"]': (None, None), damaged[-1][0]: (None, None)}
    columns = [
        from_avro(F.unhex(F.lit(message)), schema, {"mode": "PERMISSIVE"}).alias(f"c{at}")
        for at, (schema, message) in enumerate(damaged)
    ]
    found = list(spark.range(1).select(*columns).collect()[0])
    assert found == [nothing.get(schema) for schema, _ in damaged]
    for schema, message in (damaged[0], damaged[3], damaged[-1]):
        assert "Malformed records are detected in record parsing. Current parse Mode: FAILFAST." in refusal(
            decoded(spark, schema, message)
        )
    mixed = spark.sql("SELECT X'0200' AS v UNION ALL SELECT X'04' UNION ALL SELECT NULL UNION ALL SELECT X'0602026103'")
    read = mixed.select(from_avro("v", record, {"mode": "permissive"}).alias("x")).collect()
    assert sorted((r.x and tuple(r.x) for r in read), key=str) == [(1, None), (3, "a"), (None, None), None]
    assert rows(decoded(spark, record, "0200FFFF")) == [((1, None),)]  # bytes behind a message are nobody's


def test_an_evolved_schema_reads_old_messages(spark: SparkSession) -> None:
    def read(writer: str, message: str, reader: str) -> Any:
        return decoded(spark, writer, message, {"avroSchema": reader, "mode": "PERMISSIVE"}).collect()[0][0]

    old = '{"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"gone","type":["null","string"]}]}'
    new = json.dumps(
        {
            "type": "record",
            "name": "R",
            "fields": [
                {"name": "text", "type": ["string", "null"], "default": "q"},
                {"name": "z", "aliases": ["a"], "type": "double"},
                {"name": "none", "type": ["null", "string"], "default": None},
                {"name": "list", "type": {"type": "array", "items": "int"}, "default": [1, 2]},
                {"name": "inner", "type": {"type": "record", "name": "Q", "fields": [{"name": "x", "type": "int", "default": 3}]}, "default": {}},
                {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}, "default": 1000},
            ],
        }
    )  # fmt: skip
    assert read(old, "02020A68656C6C6F", new) == ("q", 1.0, None, [1, 2], (3,), datetime(1970, 1, 1, 0, 0, 1))
    assert read(old, "0200", '{"type":"record","name":"Other","fields":[{"name":"a","type":"long"}]}') == (1,)
    assert read(old, "0200", '{"type":"record","name":"R","fields":[{"name":"b","type":"long"}]}') == (None,)
    assert read('"int"', "02", '"float"') == 1.0
    assert read('"bytes"', "0261", '"string"') == "a"
    assert read('"long"', "02", '"int"') is None
    assert read('["null","int"]', "0204", '"long"') == 2
    assert read('["null","int"]', "00", '"long"') is None
    kinds = '{"type":"enum","name":"E","symbols":["A","B"]}'
    assert read(kinds, "02", '{"type":"enum","name":"E","symbols":["A","Z"],"default":"Z"}') == "Z"
    assert read(kinds, "02", '{"type":"enum","name":"E","symbols":["A","Z"]}') is None
    assert read(kinds, "00", '{"type":"enum","name":"Other","symbols":["A"]}') is None


def test_unions_and_schemas_that_contain_themselves(spark: SparkSession) -> None:
    union = '{"type":"record","name":"R","fields":[{"name":"u","type":["int","string","null",{"type":"record","name":"Q","fields":[{"name":"x","type":"int"}]}]}]}'
    numbered = "struct<u:struct<member0:int,member1:string,member2:struct<x:int>>>"
    assert decoded(spark, union, "0002").schema["x"].dataType.simpleString() == numbered
    assert [decoded(spark, union, m).collect()[0][0] for m in ("0002", "020261", "04", "0602")] == [
        ((1, None, None),), ((None, "a", None),), (None,), ((None, None, (1,)),),
    ]  # fmt: skip
    named = decoded(spark, union, "0002", {"enableStableIdentifiersForUnionType": "true"})
    assert (
        named.schema["x"].dataType.simpleString()
        == "struct<u:struct<member_int:int,member_string:string,member_Q:struct<x:int>>>"
    )
    options = {"enableStableIdentifiersForUnionType": "true", "stableIdentifierPrefixForUnionType": "p_"}
    prefixed = decoded(spark, union, "0002", options)
    assert (
        prefixed.schema["x"].dataType.simpleString() == "struct<u:struct<p_int:int,p_string:string,p_Q:struct<x:int>>>"
    )

    chain = '{"type":"record","name":"L","fields":[{"name":"v","type":"int"},{"name":"n","type":["null","L"]},{"name":"w","type":"int"}]}'
    message = "02" + "0204" + "0206" + "00" + "0E" + "0C" + "0A"
    for depth, kind, value in (
        ("1", "struct<v:int,w:int>", (1, 5)),
        ("2", "struct<v:int,n:struct<v:int,w:int>,w:int>", (1, (2, 6), 5)),
        ("3", "struct<v:int,n:struct<v:int,n:struct<v:int,w:int>,w:int>,w:int>", (1, (2, (3, 7), 6), 5)),
    ):
        frame = decoded(spark, chain, message, {"recursiveFieldMaxDepth": depth})
        assert frame.schema["x"].dataType.simpleString() == kind
        assert frame.collect()[0][0] == value
    assert "Found recursive reference in Avro schema" in refusal(decoded(spark, chain, message))
    too_deep = refusal(decoded(spark, chain, message, {"recursiveFieldMaxDepth": "99"}))
    assert too_deep.startswith("STDS_INVALID_OPTION_VALUE.WITH_MESSAGE")


ENCODED: list[tuple[str, str | None]] = [
    ("to_avro(true)", "01"),
    ("to_avro(1Y)", "02"),
    ("to_avro(-1)", "01"),
    ("to_avro(9223372036854775807L)", "FEFFFFFFFFFFFFFFFF01"),
    ("to_avro(1.5F)", "0000C03F"),
    ("to_avro(1.5D)", "000000000000F83F"),
    ("to_avro('éa')", "06C3A961"),
    ("to_avro(X'0A0B')", "040A0B"),
    ("to_avro(DATE'2020-01-01')", "AC9D02"),
    ("to_avro(TIMESTAMP'2020-01-01 00:00:00')", "8080D29F98C2CD05"),
    ("to_avro(TIMESTAMP_NTZ'2020-01-01 00:00:00')", "8080D29F98C2CD05"),
    ("to_avro(1.50BD)", "0096"),
    ("to_avro(array(1, NULL))", "0400020200"),
    ("to_avro(array(array('a'), array()))", "0402026100000 0".replace(" ", "")),
    ("to_avro(map('a', 1))", "0202610200"),
    ("to_avro(struct(id))", "00"),
    ("to_avro(struct(id, nullif(id, 0) AS n, array(struct(id)) AS a))", "0002020000"),
    ("to_avro(n)", None),
    ("to_avro(s)", "000278"),
    ("to_avro(struct(s, n))", "00027802"),
    # what may be null is what Spark says may be
    ("to_avro(named_struct('a', id, 'b', n))", "0002"),
    ("to_avro(struct(upper(string(id)) AS u, id + 1 AS p, -id AS m, abs(id) AS a, lower(s) AS l))", "02300200000002 78".replace(" ", "")),
    ("to_avro(struct(if(id > 0, 1, 2) AS i, coalesce(n, 3) AS c, CASE WHEN id > 0 THEN 1 END AS w))", "040602"),
    ("to_avro(struct(current_date() IS NULL AS d, length('ab') AS l, array(struct(id)) AS a))", "0004020000"),
    ("length(to_avro(struct(current_timestamp() AS t)))", "8"),
    ("to_avro(named_struct('s', named_struct('i', id)))", "00"),
    ("""to_avro('B', '{"type":"enum","name":"E","symbols":["A","B"]}')""", "02"),
    ("""to_avro(X'0102', '{"type":"fixed","name":"F","size":2}')""", "0102"),
    ("""to_avro(-1.50BD, '{"type":"bytes","logicalType":"decimal","precision":3,"scale":2}')""", "04FF6A"),
    ("""to_avro(TIMESTAMP'1969-12-31 23:59:59.9999', '{"type":"long","logicalType":"timestamp-millis"}')""", "01"),
    ("""to_avro(TIMESTAMP'2020-01-01 00:00:00', '"long"')""", "80A0B7E6EB5B"),
    ("""to_avro(id, '["int","long"]')""", "0200"),
    ("""to_avro(s, '["null","string"]')""", "020278"),
    (
        """to_avro(struct(1 AS A, 2 AS b),
           '{"type":"record","name":"R","fields":[{"name":"b","type":"int"},{"name":"a","type":"int"},{"name":"c","type":["null","int"]}]}')""",
        "040200",
    ),
    (
        """to_avro(struct(struct(CAST(NULL AS INT) AS member0, s AS member1) AS u),
           '{"type":"record","name":"R","fields":[{"name":"u","type":["int","string","null"]}]}')""",
        "020278",
    ),
]  # fmt: skip


def test_values_are_written_as_spark_writes_them(spark: SparkSession) -> None:
    source = spark.range(1).selectExpr("id", "nullif('x', string(id)) AS s", "CAST(nullif(id, 0) AS INT) AS n")
    found = source.selectExpr(*(f"hex({call}) AS c{at}" for at, (call, _) in enumerate(ENCODED)))
    assert list(found.collect()[0]) == [expected for _, expected in ENCODED]


def test_what_does_not_fit_the_schema_is_refused(spark: SparkSession) -> None:
    record = '{"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"s","type":"string"}]}'
    frame = spark.sql("SELECT struct(id AS a, nullif('x', 'x') AS s) AS st, 'C' AS e, map(1, 2) AS m FROM range(1)")
    typed = frame.select(F.col("st").cast("struct<a:int,s:string>").alias("st"), "e", "m")

    def writes(column: Column) -> str:
        return refusal(typed.select(column))

    assert writes(to_avro("st", record)).startswith("AVRO_CANNOT_WRITE_NULL_FIELD")
    assert 'Cannot write null value for field `s` defined as non-null Avro data type "string".' in writes(
        to_avro("st", record)
    )
    text = '{"type":"record","name":"R","fields":[{"name":"a","type":"string"},{"name":"s","type":["null","string"]}]}'
    assert f"Cannot convert SQL type STRUCT<a: INT, s: STRING> to Avro type {text}." in writes(to_avro("st", text))
    short = '{"type":"record","name":"R","fields":[{"name":"a","type":"int"}]}'
    assert f"Cannot convert SQL type STRUCT<a: INT, s: STRING> to Avro type {short}." in writes(to_avro("st", short))
    assert '"C" cannot be written since it\'s not defined in enum "A", "B"' in writes(
        to_avro("e", '{"type":"enum","name":"E","symbols":["A","B"]}')
    )
    assert "IncompatibleSchemaException" in writes(to_avro("m"))
    assert "SchemaParseException" in writes(to_avro("e", "{"))
    assert "SchemaParseException" in writes(to_avro(F.struct(F.col("e").alias("a b"))))


def test_calls_that_make_no_sense_are_refused(spark: SparkSession) -> None:
    frame = spark.sql("SELECT X'02' AS v, '\"int\"' AS s")

    def reads(call: str) -> str:
        with pytest.raises(PySparkException) as raised:
            frame.selectExpr(call).collect()
        return str(raised.value.getCondition() or raised.value)

    assert reads("from_avro(v)") == "WRONG_NUM_ARGS.WITHOUT_SUGGESTION"
    assert reads("from_avro(v, s)") == "DATATYPE_MISMATCH.TYPE_CHECK_FAILURE_WITH_HINT"
    assert reads("from_avro(v, '\"int\"', map('mode', s))") == "DATATYPE_MISMATCH.TYPE_CHECK_FAILURE_WITH_HINT"
    assert reads("from_avro(v, '\"int\"', map('mode', 'DROPMALFORMED'))") == "PARSE_MODE_UNSUPPORTED"
    assert reads("""from_avro(v, '{"type":"bytes","logicalType":"decimal","precision":50}')""") == (
        "DECIMAL_PRECISION_EXCEEDS_MAX_PRECISION"
    )
    assert reads("""from_avro(v, '{"type":"long","logicalType":"time-micros"}')""") == "UNSUPPORTED_TIME_TYPE"
    assert "SchemaParseException" in reads("""from_avro(v, '{"type":"wat"}')""")


def test_old_dates_are_those_of_the_gregorian_calendar(spark: SparkSession) -> None:
    schema = '{"type":"record","name":"R","fields":[{"name":"d","type":{"type":"int","logicalType":"date"}}]}'
    assert rows(decoded(spark, schema, "D99F2B").select("x.d")) == [(date(1000, 1, 1),)]
    assert "Malformed" in refusal(decoded(spark, schema, "D99F2B", {"datetimeRebaseMode": "EXCEPTION"}))


def test_messages_of_a_stream(spark: SparkSession, tmp_path: Path) -> None:
    frame = spark.range(6).selectExpr(
        "id", "nullif('n' || id, 'n1') AS name", "timestamp_seconds(id * 60) AS at", "IF(id % 2 = 0, 'NEW', 'OLD') AS kind",
        "array(string(id)) AS tags", "map('k', 1) AS size", "CAST(id AS DECIMAL(9,2)) AS price",
    )  # fmt: skip
    framed = F.concat(F.expr("X'0000000007'"), to_avro(F.struct("*"), EVENT)).alias("value")
    frame.select(framed).write.parquet(str(tmp_path / "in"))

    def messages() -> DataFrame:
        return spark.readStream.schema("value BINARY").parquet(str(tmp_path / "in"))

    event = from_avro(F.expr("substring(value, 6, length(value) - 5)"), EVENT).alias("e")
    plain = messages().select(event).select("e.id", "e.name", "e.tags", to_avro("e.id", '"long"').alias("again"))
    query = plain.writeStream.format("memory").queryName("avro_plain").trigger(availableNow=True).start()
    finish(query)
    expected = [(n, None if n == 1 else f"n{n}", [str(n)], bytes([2 * n])) for n in range(6)]
    assert rows(spark.table("avro_plain")) == expected

    counted = messages().select(event).withColumn("kind", F.col("e.kind")).withColumn("at", F.col("e.at"))
    counted = counted.withWatermark("at", "1 minute").groupBy("kind").agg(F.sum("e.price").alias("total"))
    query = (
        counted.writeStream.format("memory")
        .queryName("avro_count")
        .outputMode("complete")
        .trigger(availableNow=True)
        .start()
    )
    finish(query)
    assert rows(spark.table("avro_count")) == [("NEW", Decimal("6.00")), ("OLD", Decimal("9.00"))]
