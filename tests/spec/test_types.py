"""What the types of columns decide: text used as a number, common types, overflow, decimals, dates and intervals.

Each expression is asked of a table's rows as DataFrame text and in SQL, and as a stream.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pyspark.errors import (
    ArithmeticException,
    NumberFormatException,
    PySparkException,
    PythonException,
    StreamingQueryException,
)
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from tests.spec.support import finish, write_json

ROW = """
    SELECT 1 AS id, '3' AS s, 'abc' AS bad, 2 AS i, 5L AS l, 0.25D AS d, CAST(1.5 AS FLOAT) AS f, 2.50BD AS dec,
           CAST(100 AS TINYINT) AS tiny, date'2024-02-04' AS dt, timestamp'2024-01-31 10:20:30.5' AS ts, true AS b,
           array(1, 2) AS a, named_struct('x', '1', 'y', 2) AS st, 2147483647 AS imax, 9223372036854775807L AS lmax,
           CAST(NULL AS STRING) AS ns, map('k', '1') AS m
"""
SCALARS: list[tuple[str, str, Any]] = [
    # text beside a number is a number: BIGINT beside whole ones, DOUBLE beside others
    ("s * 0.5", "double", 1.5),
    ("s + 1", "bigint", 4),
    ("l - s", "bigint", 2),
    ("s / 2", "double", 1.5),
    ("s % 2", "bigint", 1),
    ("s div 2", "bigint", 1),
    ("dec * s", "double", 7.5),
    ("-s", "double", -3.0),
    ("+s", "double", 3.0),
    ("s & 1", "bigint", 1),
    ("s > 1 AND s = 3 AND s < 3.5 AND s <> i AND NOT s <=> 4", "boolean", True),
    ("i IN ('2', '3') AND s IN (1, 3) AND s NOT IN (4, 5)", "boolean", True),
    ("s BETWEEN 1 AND 5 AND i NOT BETWEEN '3' AND '4'", "boolean", True),
    ("1.5 = '1.51'", "boolean", False),
    ("abs(s)", "double", 3.0),
    ("round(s, 1)", "double", 3.0),
    ("ceil(s)", "bigint", 3),
    ("power(s, '2')", "double", 9.0),
    ("sqrt(s + 1)", "double", 2.0),
    ("from_unixtime(s)", "string", "1970-01-01 00:00:03"),
    ("substring(bad, '2')", "string", "bc"),
    ("repeat(bad, '2')", "string", "abcabc"),
    ("date_add(dt, s)", "date", date(2024, 2, 7)),
    ("st.x + 1", "bigint", 2),
    ("m['k'] + a[0]", "bigint", 2),
    ("transform(a, x -> x + 1)", "array<int>", [2, 3]),
    # branches and lists have the type of all
    ("if(b, s, f)", "double", 3.0),
    ("if(b, i, f)", "double", 2.0),
    ("if(b, s, i)", "bigint", 3),
    ("CASE WHEN b THEN s ELSE dec END", "double", 3.0),
    ("CASE i WHEN 2 THEN ns ELSE d END", "double", None),
    ("coalesce(ns, i, l)", "bigint", 2),
    ("nvl(s, 1.5D)", "double", 3.0),
    ("nvl2(ns, s, i)", "bigint", 2),
    ("nullif(s, 3)", "string", None),
    ("array(s, i)", "array<bigint>", [3, 2]),
    ("f = 1.5 AND f + 0.1 <> 1.6", "boolean", False),
    ("CAST(0.1 AS FLOAT) = 0.1D", "boolean", False),
    # decimals
    ("dec + 1", "decimal(4,2)", Decimal("3.50")),
    ("dec * i", "decimal(14,2)", Decimal("5.00")),
    ("dec / 3", "decimal(7,6)", Decimal("0.833333")),
    ("2.00 / 3", "decimal(7,6)", Decimal("0.666667")),
    ("dec / i", "decimal(14,13)", Decimal("1.2500000000000")),
    ("round(dec)", "decimal(2,0)", Decimal(3)),
    # dates, times and intervals
    ("dt + INTERVAL 1 HOUR", "timestamp", datetime(2024, 2, 4, 1)),  # noqa: DTZ001
    ("dt - INTERVAL 1 DAY", "date", date(2024, 2, 3)),
    ("ts - dt < INTERVAL 1 DAY", "boolean", True),
    ("datediff(dt, '2024-02-01')", "int", 3),
    ("concat(ts, '')", "string", "2024-01-31 10:20:30.5"),
    ("ts || 'x'", "string", "2024-01-31 10:20:30.5x"),
    ("concat_ws('-', ts, i)", "string", "2024-01-31 10:20:30.5-2"),
    # sums that fit
    ("imax + 1L", "bigint", 2147483648),
    ("imax - 1 + 1", "int", 2147483647),
    ("(i + 1) * l - i", "bigint", 13),
    ("tiny + i", "int", 102),
    ("i + NULL", "int", None),
    ("NULL * l", "bigint", None),
]
AGGREGATES: list[tuple[str, str, Any]] = [
    ("avg(s)", "double", 3.0),
    ("sum(s)", "double", 3.0),
    ("sum(s * 2)", "bigint", 6),
    ("max(s) + 1", "bigint", 4),
    ("stddev_pop(s)", "double", 0.0),
    ("variance(s)", "double", None),
    ("sum(DISTINCT s)", "double", 3.0),
    ("sum(l) + count(*)", "bigint", 6),
    ("sum(if(b, i, f))", "double", 2.0),
]
FAILURES: list[tuple[str, str, type[PySparkException]]] = [
    ("bad + 1", "CAST_INVALID_INPUT", NumberFormatException),
    ("bad > 1", "CAST_INVALID_INPUT", NumberFormatException),
    ("from_unixtime(bad)", "CAST_INVALID_INPUT", NumberFormatException),
    ("i > '1.5'", "CAST_INVALID_INPUT", NumberFormatException),
    ("if(b, bad, i)", "CAST_INVALID_INPUT", NumberFormatException),
    ("sum(bad)", "CAST_INVALID_INPUT", NumberFormatException),
    ("2147483647 + 1", "ARITHMETIC_OVERFLOW", ArithmeticException),
    ("imax + 1", "ARITHMETIC_OVERFLOW", ArithmeticException),
    ("-imax - i", "ARITHMETIC_OVERFLOW", ArithmeticException),
    ("imax * 2 - imax", "ARITHMETIC_OVERFLOW", ArithmeticException),
    ("lmax + i", "ARITHMETIC_OVERFLOW", ArithmeticException),
    ("lmax * l", "ARITHMETIC_OVERFLOW", ArithmeticException),
    ("sum(lmax) + 1", "ARITHMETIC_OVERFLOW", ArithmeticException),
    ("abs(-imax - 1)", "ARITHMETIC_OVERFLOW", ArithmeticException),
    ("transform(a, x -> x + imax)", "ARITHMETIC_OVERFLOW", ArithmeticException),
]
REFUSED: list[tuple[str, str]] = [
    ("s + '1'", "DATATYPE_MISMATCH.BINARY_OP_WRONG_TYPE"),
    ("s / '2'", "DATATYPE_MISMATCH.BINARY_OP_WRONG_TYPE"),
    ("greatest(s, i)", "DATATYPE_MISMATCH.DATA_DIFF_TYPES"),
    ("explode(a) + 1", "UNSUPPORTED_GENERATOR.NESTED_IN_EXPRESSIONS"),
]


@pytest.fixture
def row(spark: SparkSession, tmp_path: Path) -> DataFrame:
    """The row, in a table, so that nothing is computed before there are rows."""
    folder = str(tmp_path / "row")
    spark.sql(ROW).write.format("delta").save(folder)
    frame = spark.read.format("delta").load(folder)
    frame.createOrReplaceTempView("one_row")
    return frame


def _answers(frame: DataFrame) -> list[tuple[str, Any]]:
    [found] = frame.collect()
    return [(field.dataType.simpleString(), value) for field, value in zip(frame.schema, found, strict=True)]


def test_of_each_row(spark: SparkSession, row: DataFrame) -> None:
    expected = [(sql, kind, value) for sql, kind, value in SCALARS]
    texts = [f"{sql} AS c{at}" for at, (sql, _, _) in enumerate(SCALARS)]
    of_frame = _answers(row.selectExpr(*texts))
    assert [(sql, *found) for (sql, _, _), found in zip(SCALARS, of_frame, strict=True)] == expected
    of_sql = _answers(spark.sql(f"SELECT {', '.join(texts)} FROM one_row AS r"))
    assert of_sql == of_frame


def test_of_all_rows(spark: SparkSession, row: DataFrame) -> None:
    texts = [f"{sql} AS c{at}" for at, (sql, _, _) in enumerate(AGGREGATES)]
    found = _answers(row.selectExpr(*texts))
    assert [(sql, *answer) for (sql, _, _), answer in zip(AGGREGATES, found, strict=True)] == AGGREGATES
    assert _answers(spark.sql(f"SELECT {', '.join(texts)} FROM one_row")) == found


def test_with_the_functions_of_the_dataframe(row: DataFrame) -> None:
    s = F.col("s")
    frame = row.withColumn("half", s * 0.5).withColumn("more", F.col("half") + s)
    made = frame.where(s > 2).select("half", "more", s + 1, F.when(F.col("b"), s).otherwise(F.lit(1.5)).alias("w"))
    assert made.columns == ["half", "more", "(s + 1)", "w"]
    assert _answers(made) == [("double", 1.5), ("double", 4.5), ("bigint", 4), ("double", 3.0)]
    grouped = row.groupBy((s % 2).alias("k")).agg(F.avg("s"), F.stddev("s"), F.sum(s * F.col("i")))
    assert grouped.columns == ["k", "avg(s)", "stddev(s)", "sum((s * i))"]
    assert _answers(grouped) == [("bigint", 1), ("double", 3.0), ("double", None), ("bigint", 6)]


def test_columns_keep_their_names(spark: SparkSession, row: DataFrame) -> None:
    texts = ["s + 1", "s <> i", "s IN (1, 3)", "NOT s = 3", "s BETWEEN 1 AND 5", "sqrt(s)", "ceil(s)", "round(s)",
             "from_unixtime(s)", "CASE WHEN s > 1 THEN s ELSE 2 END", "if(b, s, f)", "coalesce(s, 1)", "-s + 1",
             "CAST(s AS INT) + 1", "st.x + 1", "dec / 3", "i + 1.50", "imax - 1L"]  # fmt: skip
    expected = ["(s + 1)", "(NOT (s = i))", "(s IN (1, 3))", "(NOT (s = 3))", "between(s, 1, 5)", "SQRT(s)", "CEIL(s)",
                "round(s, 0)", "from_unixtime(s, yyyy-MM-dd HH:mm:ss)", "CASE WHEN (s > 1) THEN s ELSE 2 END",
                "(IF(b, s, f))", "coalesce(s, 1)", "((- s) + 1)", "(CAST(s AS INT) + 1)", "(st.x + 1)", "(dec / 3)",
                "(i + 1.50)", "(imax - 1)"]  # fmt: skip
    assert row.selectExpr(*texts).columns == expected
    assert spark.sql(f"SELECT {', '.join(texts)} FROM one_row").columns == expected


QUERIES: list[tuple[str, list[tuple[Any, ...]]]] = [
    ("SELECT t.s + u.i FROM one_row t JOIN one_row u ON t.s > u.i WHERE u.s = 3", [(5,)]),
    ("WITH c AS (SELECT s * 2 AS x FROM one_row), d AS (SELECT x + 1 AS y FROM c) SELECT y + 0.5 FROM d WHERE y > '6'",
     [(Decimal("7.5"),)]),
    ("SELECT * FROM (SELECT s * 0.5 AS h FROM one_row) WHERE h < 2", [(1.5,)]),
    ("SELECT sum(s) AS n FROM one_row GROUP BY s % 2 HAVING sum(s) > 1", [(3.0,)]),
    ("SELECT (SELECT max(s) + 1 FROM one_row) + 1 AS m", [(5,)]),
    ("SELECT s + 1 AS x FROM one_row UNION ALL SELECT l FROM one_row ORDER BY x", [(4,), (5,)]),
    ("SELECT k, sum(v) FROM VALUES ('a', '1'), ('a', '2') AS t(k, v) GROUP BY k", [("a", 3.0)]),
    ("SELECT id FROM one_row r WHERE EXISTS (SELECT 1 FROM one_row u WHERE u.s > 2 AND u.id = r.id)", [(1,)]),
    ("SELECT avg(s) OVER (PARTITION BY i) + 1 FROM one_row", [(4.0,)]),
    ("SELECT c + 1 FROM one_row LATERAL VIEW explode(a) e AS c ORDER BY c * -1", [(3,), (2,)]),
]  # fmt: skip


@pytest.mark.usefixtures("row")
@pytest.mark.parametrize(("text", "expected"), QUERIES)
def test_in_queries(spark: SparkSession, text: str, expected: list[tuple[Any, ...]]) -> None:
    assert [tuple(found) for found in spark.sql(text).collect()] == expected


@pytest.mark.parametrize(("sql", "condition", "kind"), FAILURES, ids=[case[0] for case in FAILURES])
def test_what_fails(row: DataFrame, sql: str, condition: str, kind: type[PySparkException]) -> None:
    with pytest.raises(kind) as raised:
        row.selectExpr(f"{sql} AS x").collect()
    assert raised.value.getCondition() == condition


@pytest.mark.parametrize(("sql", "condition"), REFUSED)
def test_what_is_refused(row: DataFrame, sql: str, condition: str) -> None:
    with pytest.raises(PySparkException) as raised:
        row.selectExpr(f"{sql} AS x").collect()
    assert raised.value.getCondition() == condition


def test_dates_apart(row: DataFrame) -> None:
    made = row.selectExpr("dt - date'2024-02-01' AS x")
    assert made.collect() == [(timedelta(days=3),)]


def test_the_same_of_a_stream(spark: SparkSession, row: DataFrame, tmp_path: Path) -> None:
    columns = [f"{sql} AS c{at}" for at, (sql, _, _) in enumerate(SCALARS)]
    stream = spark.readStream.format("delta").load(str(tmp_path / "row")).where("s > 1").selectExpr(*columns)
    query = stream.writeStream.format("delta").option("checkpointLocation", str(tmp_path / "checkpoint"))
    finish(query.trigger(availableNow=True).start(str(tmp_path / "out")))
    made = _answers(spark.read.format("delta").load(str(tmp_path / "out")))
    assert made == [(kind, value) for _, kind, value in SCALARS]


def test_aggregates_of_a_stream(spark: SparkSession, row: DataFrame, tmp_path: Path) -> None:
    stream = spark.readStream.format("delta").load(str(tmp_path / "row"))
    grouped = stream.groupBy(F.expr("s % 2").alias("k")).agg(
        *(F.expr(sql).alias(f"c{at}") for at, (sql, _, _) in enumerate(AGGREGATES) if "DISTINCT" not in sql)
    )
    finish(
        grouped.writeStream.queryName("typed")
        .outputMode("complete")
        .format("memory")
        .trigger(availableNow=True)
        .start()
    )
    expected = [(kind, value) for sql, kind, value in AGGREGATES if "DISTINCT" not in sql]
    assert _answers(spark.table("typed")) == [("bigint", 1), *expected]


def test_a_sum_of_batches_that_overflows(spark: SparkSession, tmp_path: Path) -> None:
    folder = str(tmp_path / "in")
    stream = spark.readStream.schema("n BIGINT").option("maxFilesPerTrigger", 1).json(folder)
    write_json(tmp_path / "in" / "a.json", [{"n": 9223372036854775806}, {"n": 1}])
    write_json(tmp_path / "in" / "b.json", [{"n": 1}])
    query = stream.groupBy().sum("n").writeStream.queryName("sums").outputMode("complete").format("memory")
    with pytest.raises(StreamingQueryException, match=r"\[ARITHMETIC_OVERFLOW\]"):
        finish(query.trigger(availableNow=True).start())
    assert spark.table("sums").collect() == [(9223372036854775807,)]


@pytest.mark.parametrize(
    ("sql", "condition"),
    [
        ("bad * 2", "CAST_INVALID_INPUT"),
        ("CAST(bad AS INT)", "CAST_INVALID_INPUT"),
        ("imax + 1", "ARITHMETIC_OVERFLOW"),
        ("to_timestamp(bad, 'yyyy-MM-dd')", "CANNOT_PARSE_TIMESTAMP"),
        ("i / (i - 2)", "DIVIDE_BY_ZERO"),
    ],
)
def test_failures_of_a_stream(spark: SparkSession, row: DataFrame, tmp_path: Path, sql: str, condition: str) -> None:
    stream = spark.readStream.format("delta").load(str(tmp_path / "row")).selectExpr(f"{sql} AS x")
    query = stream.writeStream.format("noop").trigger(availableNow=True)
    query = query.option("checkpointLocation", str(tmp_path / "checkpoint"))
    with pytest.raises(StreamingQueryException) as raised:
        finish(query.start())
    assert f"[{condition}]" in str(raised.value)


def test_what_a_python_function_raises_is_left_alone(spark: SparkSession) -> None:
    def fails(_: int) -> int:
        raise ValueError("division by zero, Cannot cast string 'a' to value of Int32 type")

    with pytest.raises(PythonException, match=r"\[PYTHON_EXCEPTION\] An exception was thrown from the Python worker"):
        spark.range(1).select(F.udf(fails, "int")("id")).collect()


def test_bytes_that_are_not_text_do_not_stop_a_query(spark: SparkSession) -> None:
    """What Spark keeps of such bytes, no client can show; what is beside them is read, and the names are the same."""
    frame = spark.sql("SELECT * FROM VALUES (1, X'61FF62'), (2, X'7b2261223a317d'), (3, NULL) AS t(id, value)")
    frame.createOrReplaceTempView("bytes_and_text")
    text = F.col("value").cast("string")
    assert frame.select("id", F.from_json(text, "a INT").alias("d")).select("id", "d.*").orderBy("id").collect() == [
        (1, None),
        (2, 1),
        (3, None),
    ]
    assert frame.where(text.contains("1}")).select("id", text).collect() == [(2, '{"a":1}')]
    assert [row[0] for row in frame.selectExpr("get_json_object(CAST(value AS STRING), '$.a') a").collect()] == [
        None,
        "1",
        None,
    ]
    query = "SELECT CAST(t.value AS STRING) FROM bytes_and_text t WHERE value::string LIKE '{%'"
    assert spark.sql(query).collect() == [('{"a":1}',)]
    for made in (frame.select(text), frame.selectExpr("CAST(value AS STRING)"), spark.sql(query)):
        assert made.schema.simpleString() == "struct<value:string>"
    nested = spark.sql("SELECT CAST(s.a AS STRING), CAST(CAST(s.a AS STRING) AS INT) FROM (SELECT struct(X'31' a) s)")
    assert nested.columns == ["CAST(s.a AS STRING)", "CAST(CAST(s.a AS STRING) AS INT)"]
