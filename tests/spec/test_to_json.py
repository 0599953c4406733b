"""`to_json`: how values of each type are written, in batches, views and streams, in SQL and the DataFrame API."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from tests.spec.support import finish, write_json

DECIMAL = "CAST('12345678901234567.89' AS DECIMAL(25, 2))"
FLOAT = "CAST('1.1' AS FLOAT)"
TIME = "TIMESTAMP '2024-03-10 04:30:15.123'"

VALUES = [
    (f"struct({DECIMAL} AS d)", '{"d":12345678901234567.89}'),
    ("struct(CAST('1.50' AS DECIMAL(10, 2)) AS d, CAST('-0.001' AS DECIMAL(10, 3)) AS e)", '{"d":1.50,"e":-0.001}'),
    (f"struct({FLOAT} AS f, CAST('0.1' AS DOUBLE) AS g)", '{"f":1.1,"g":0.1}'),
    ("struct(CAST('NaN' AS DOUBLE) AS a, CAST('-Infinity' AS FLOAT) AS b)", '{"a":"NaN","b":"-Infinity"}'),
    ("struct(1e20D AS a, 1e-7D AS b, 100D AS c)", '{"a":1.0E20,"b":1.0E-7,"c":100.0}'),
    (f"array({FLOAT}, NULL)", "[1.1,null]"),
    (f"map('k', {DECIMAL})", '{"k":12345678901234567.89}'),
    (f"array(struct({FLOAT} AS f), NULL)", '[{"f":1.1},null]'),
    (f"struct(struct({FLOAT} AS f, CAST(NULL AS INT) AS n) AS s)", '{"s":{"f":1.1}}'),
    (f"struct(map('a', array({FLOAT}))) AS x", None),
    ("struct(DATE '2024-01-31' AS d)", '{"d":"2024-01-31"}'),
    ("struct(TIMESTAMP_NTZ '2024-03-10 04:30:15' AS t)", '{"t":"2024-03-10T04:30:15.000"}'),
    (f"struct({TIME} AS t)", '{"t":"2024-03-10T04:30:15.123Z"}'),
    ("struct(X'0102' AS b, CAST(7 AS TINYINT) AS i)", '{"b":"AQI=","i":7}'),
    ("struct('a\"b\\\\c' AS s, 1.5D AS d)", '{"s":"a\\"b\\\\c","d":1.5}'),
    ("struct(1 AS a, CAST(NULL AS DOUBLE) AS n)", '{"a":1}'),
    ("CAST(NULL AS STRUCT<f: FLOAT>)", None),
    ("NULL", None),
    ("parse_json('[1,2]')", "[1,2]"),
    ("map(1.5BD, 1)", '{"1.5":1}'),
]

OPTIONS = [
    (f"struct({TIME} AS t)", "'timestampFormat', 'dd/MM/yyyy HH:mm'", '{"t":"10/03/2024 04:30"}'),
    ("struct(DATE '2024-01-31' AS d)", "'dateFormat', 'dd.MM.yyyy'", '{"d":"31.01.2024"}'),
    ("struct(TIMESTAMP_NTZ '2024-03-10 04:30:15' AS t)", "'timestampNTZFormat', 'HH:mm'", '{"t":"04:30"}'),
    (f"struct({TIME} AS t)", "'timeZone', 'America/New_York'", '{"t":"2024-03-09T23:30:15.123-05:00"}'),
    ("struct(1 AS a, CAST(NULL AS STRING) AS n)", "'ignoreNullFields', 'false'", '{"a":1,"n":null}'),
    (f"struct({FLOAT} AS f, CAST(NULL AS INT) AS n)", "'IGNORENULLFIELDS', 'false'", '{"f":1.1,"n":null}'),
]


@pytest.fixture
def utc(spark: SparkSession) -> SparkSession:
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    return spark


def test_literals(utc: SparkSession) -> None:
    for expression, expected in VALUES:
        bare = expression.removesuffix(" AS x")
        (row,) = utc.sql(f"SELECT to_json({bare}) AS j").collect()
        assert row.j == expected or (expected is None and bare != expression and "1.1" in row.j), expression


def test_options(utc: SparkSession) -> None:
    for expression, options, expected in OPTIONS:
        (row,) = utc.sql(f"SELECT to_json({expression}, map({options})) AS j").collect()
        assert row.j == expected, options


def test_columns(utc: SparkSession, database: str, tmp_path: Path) -> None:
    """Of a table, a view, a DataFrame and a stream, and below other operations."""
    name = f"{database}.t"
    rows = "(1, 12345678901234567.89BD, 1.1F, array(1.1F)), (2, NULL, NULL, NULL)"
    utc.sql(f"CREATE TABLE {name} USING delta AS SELECT * FROM VALUES {rows} AS v(id, d, f, l)")
    utc.sql(f"CREATE TEMPORARY VIEW shown AS SELECT id, to_json(struct(d, f, l)) AS j FROM {name}")
    expected = [(1, '{"d":12345678901234567.89,"f":1.1,"l":[1.1]}'), (2, "{}")]
    frame = utc.table(name)
    text = f"SELECT id, to_json(struct(d, f, l)) AS j FROM {name}"
    frames = [
        utc.sql(text),
        utc.table("shown"),
        frame.select("id", F.to_json(F.struct("d", "f", "l")).alias("j")),
        frame.selectExpr("id", "to_json(struct(d, f, l)) AS j"),
        frame.select("id", F.struct("d", "f", "l").alias("s")).select("id", F.to_json("s").alias("j")),
        utc.sql(f"WITH x AS ({text}) SELECT * FROM x WHERE j LIKE '{{%'"),
    ]
    for found in frames:
        assert sorted(tuple(row) for row in found.collect()) == expected
    kept = frame.select("id", F.to_json(F.struct("id", "f"), {"ignoreNullFields": "false"}).alias("j"))
    assert sorted(tuple(row) for row in kept.collect()) == [(1, '{"id":1,"f":1.1}'), (2, '{"id":2,"f":null}')]
    assert utc.sql(f"SELECT to_json(struct(f)) FROM {name}").columns == ["to_json(struct(f))"]
    assert frame.select(F.to_json(F.struct("f"))).columns == ["to_json(struct(f))"]
    query = utc.readStream.table(name).select("id", F.to_json(F.struct("d", "f", "l")).alias("j"))
    finish(
        query.writeStream.format("delta")
        .option("checkpointLocation", str(tmp_path / "checkpoint"))
        .trigger(availableNow=True)
        .toTable(f"{database}.written")
    )
    assert sorted(tuple(row) for row in utc.table(f"{database}.written").collect()) == expected
    utc.sql(f"CREATE TABLE {database}.copied USING delta AS {text}")
    assert sorted(tuple(row) for row in utc.table(f"{database}.copied").collect()) == expected


def test_a_stream_with_sql(utc: SparkSession, database: str, tmp_path: Path) -> None:
    write_json(tmp_path / "in" / "0.json", [{"f": 1.1, "t": "2024-03-10T04:30:15Z"}])
    stream = utc.readStream.schema("f FLOAT, t TIMESTAMP").json(str(tmp_path / "in"))
    query = stream.selectExpr("to_json(struct(f, t), map('timestampFormat', 'yyyy')) AS j", "to_json(struct(t)) AS k")
    finish(
        query.writeStream.format("delta")
        .option("checkpointLocation", str(tmp_path / "checkpoint"))
        .trigger(availableNow=True)
        .toTable(f"{database}.written")
    )
    assert utc.table(f"{database}.written").collect() == [('{"f":1.1,"t":"2024"}', '{"t":"2024-03-10T04:30:15.000Z"}')]


def test_groups(utc: SparkSession) -> None:
    frame = utc.sql("SELECT * FROM VALUES (1, 1.10BD), (1, 2.25BD), (2, 0.50BD) AS v(k, d)")
    found = frame.groupBy("k").agg(F.to_json(F.struct(F.sum("d").alias("s"))).alias("j")).sort("k").collect()
    assert [tuple(row) for row in found] == [(1, '{"s":3.35}'), (2, '{"s":0.50}')]
    grouped = frame.groupBy(F.to_json(F.struct("d")).alias("j")).count().sort("j").collect()
    assert [row.j for row in grouped] == ['{"d":0.50}', '{"d":1.10}', '{"d":2.25}']


def test_the_zone_of_the_session(spark: SparkSession) -> None:
    spark.conf.set("spark.sql.session.timeZone", "America/Sao_Paulo")
    (row,) = spark.sql("SELECT to_json(struct(TIMESTAMP '1900-01-01 00:00:00' AS t, 1.5F AS f)) AS j").collect()
    assert row.j == '{"t":"1900-01-01T00:00:00.000-03:06:28","f":1.5}'


def test_what_is_no_document(utc: SparkSession) -> None:
    for value in ("1", "'a'", "1.5BD", "DATE '2024-01-31'"):
        with pytest.raises(AnalysisException) as caught:
            utc.sql(f"SELECT to_json({value})").collect()
        assert caught.value.getCondition() == "DATATYPE_MISMATCH.INVALID_JSON_SCHEMA"


@pytest.mark.riacho_only
def test_what_is_refused(utc: SparkSession) -> None:
    for options in ("'pretty', 'true'", "concat('pre', 'tty'), 'x'"):
        with pytest.raises(PySparkException, match="to_json"):
            utc.sql(f"SELECT to_json(struct(1.5F AS f), map({options}))").collect()
