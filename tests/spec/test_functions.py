"""Functions and expressions that the engine would answer otherwise than Spark: the answers are Spark's.

Each is asked of a table's rows, so that nothing is computed before there are any, as a batch, and as a stream.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from tests.spec.support import finish

ROWS = """
    SELECT 1 AS id, 0 AS i, 0.25D AS d, 2.50BD AS dec, 'Crème brûlée-x' AS s, 'a1b' AS c, date'2024-02-04' AS dt,
           timestamp'2024-01-31 10:20:30.5' AS ts, array(1, 2) AS a
    UNION ALL
    SELECT 2, 3, double('NaN'), 1.15BD, 'o''neil', '', date'2024-02-05', timestamp'2024-03-01 10:20:30', array(3)
    UNION ALL
    SELECT 3, CAST(NULL AS INT), CAST(NULL AS DOUBLE), CAST(NULL AS DECIMAL(3,2)), NULL, NULL, NULL, NULL, NULL
"""
MARCH = "timestamp'2024-03-01'"
SCALARS: list[tuple[str, str, list[Any]]] = [
    # branches have the type of all of them
    ("CASE WHEN i = 0 THEN 0 ELSE i / 2 END", "double", [0.0, 1.5, None]),
    ("CASE i WHEN 0 THEN 0 ELSE 2.5D END", "double", [0.0, 2.5, 2.5]),
    ("CASE WHEN i = 0 THEN 1 WHEN i = 3 THEN 3000000000 END", "bigint", [1, 3_000_000_000, None]),
    ("if(i = 0, 1, dec)", "decimal(12,2)", [Decimal("1.00"), Decimal("1.15"), None]),
    ("if(i = 0, NULL, CASE WHEN i = 3 THEN 1 ELSE 2.5D END)", "double", [None, 1.0, 2.5]),
    ("CASE WHEN i = 0 THEN a ELSE array(7) END", "array<int>", [[1, 2], [7], [7]]),
    # strings
    ("'it''s'", "string", ["it's"] * 3),
    ('"say ""yes"""', "string", ['say "yes"'] * 3),
    ("'it\\'s' || 'a''b'", "string", ["it'sa'b"] * 3),
    ("initcap(s)", "string", ["Crème Brûlée-x", "O'neil", None]),
    ("left(s, i - 1)", "string", ["", "o'", None]),
    ("right(s, -1)", "string", ["", "", None]),
    ("split(c, '')", "array<string>", [["a", "1", "b"], [""], None]),
    ("string(ts)", "string", ["2024-01-31 10:20:30.5", "2024-03-01 10:20:30", None]),
    # regular expressions
    (r"regexp_replace(s, '\\W', '_')", "string", ["Cr_me_br_l_e_x", "o_neil", None]),
    (r"regexp_extract(s, '(\\w+)', 1)", "string", ["Cr", "o", None]),
    ("regexp_replace(c, '([0-9])', '<$1x>')", "string", ["a<1x>b", "", None]),
    (r"regexp_replace(c, '1', '\\$\\\\')", "string", ["a$\\b", "", None]),
    (r"s RLIKE '^\\w+$'", "boolean", [False, False, None]),
    (r"split(s, '\\W')", "array<string>", [["Cr", "me", "br", "l", "e", "x"], ["o", "neil"], None]),
    # numbers
    ("isnan(d)", "boolean", [False, True, False]),
    ("rint(dec)", "double", [2.0, 1.0, None]),
    # times
    ("weekday(dt)", "int", [6, 0, None]),
    ("extract(dow FROM dt)", "int", [1, 2, None]),
    ("date_part('DAYOFWEEK_ISO', dt)", "int", [7, 1, None]),
    (f"datediff(DAY, ts, {MARCH})", "bigint", [29, 0, None]),
    ("to_timestamp(id)", "timestamp", [datetime(1970, 1, 1, 0, 0, n) for n in (1, 2, 3)]),  # noqa: DTZ001
    ("timestamp_seconds(i + 0.25)", "timestamp", [datetime(1970, 1, 1, 0, 0, n, 250_000) for n in (0, 3)] + [None]),  # noqa: DTZ001
    ("date_trunc('month', dt)", "timestamp", [datetime(2024, 2, 1), datetime(2024, 2, 1), None]),  # noqa: DTZ001
    (
        "to_json(named_struct('t', ts))",
        "string",
        ['{"t":"2024-01-31T10:20:30.500Z"}', '{"t":"2024-03-01T10:20:30.000Z"}', "{}"],
    ),
    ("timestamp(dt)", "timestamp", [datetime(2024, 2, 4), datetime(2024, 2, 5), None]),  # noqa: DTZ001
]
AGGREGATES: list[tuple[str, str, Any]] = [
    ("percentile_approx(i, 0.5)", "int", 0),
    ("percentile_approx(dt, 0.5)", "date", date(2024, 2, 4)),
    ("percentile_approx(i, array(0.25, 0.75))", "array<int>", [0, 3]),
    ("percentile_approx(i, 0.5) FILTER (WHERE i > 1)", "int", 3),
    ("sum(CASE WHEN i = 0 THEN 0 ELSE i / 2 END)", "double", 1.5),
]


@pytest.fixture
def rows(spark: SparkSession, tmp_path: Path) -> DataFrame:
    folder = str(tmp_path / "rows")
    spark.sql(ROWS).write.format("delta").save(folder)
    return spark.read.format("delta").load(folder)


@pytest.mark.parametrize(("sql", "kind", "expected"), [pytest.param(*case, id=case[0]) for case in SCALARS])
def test_of_each_row(rows: DataFrame, sql: str, kind: str, expected: list[Any]) -> None:
    made = rows.orderBy("id").selectExpr(f"{sql} AS x")
    assert made.schema["x"].dataType.simpleString() == kind
    assert [row.x for row in made.collect()] == expected


@pytest.mark.parametrize(("sql", "kind", "expected"), [pytest.param(*case, id=case[0]) for case in AGGREGATES])
def test_of_all_rows(spark: SparkSession, rows: DataFrame, sql: str, kind: str, expected: Any) -> None:
    rows.createOrReplaceTempView("all_rows")
    made = spark.sql(f"SELECT {sql} AS x FROM all_rows")
    assert made.schema["x"].dataType.simpleString() == kind
    assert made.collect() == [(expected,)]


def test_the_same_of_a_stream(spark: SparkSession, rows: DataFrame, tmp_path: Path) -> None:
    columns = [f"{sql} AS c{at}" for at, (sql, _, _) in enumerate(SCALARS)]
    stream = spark.readStream.format("delta").load(str(tmp_path / "rows")).selectExpr("id AS key", *columns)
    target = str(tmp_path / "out")
    query = stream.writeStream.format("delta").option("checkpointLocation", str(tmp_path / "checkpoint"))
    finish(query.trigger(availableNow=True).start(target))
    made = spark.read.format("delta").load(target).orderBy("key").drop("key")
    assert [field.dataType.simpleString() for field in made.schema] == [kind for _, kind, _ in SCALARS]
    assert [list(column) for column in zip(*made.collect(), strict=True)] == [expected for _, _, expected in SCALARS]


STREAMS = [
    (
        "append",
        "SELECT s || '''' AS q, CASE WHEN i = 3 THEN 0 ELSE d END AS n FROM STREAM events WHERE s = 'o''neil'",
        [("o'neil'", 0.0)],
    ),
    (
        "complete",
        "SELECT sum(CASE WHEN i = 3 THEN 0 ELSE d END) AS n, percentile_approx(i, 0.5) AS p FROM STREAM events",
        [(0.25, 0)],
    ),
    (
        "complete",
        r"SELECT initcap(s) AS w, count(*) AS n FROM STREAM events WHERE s RLIKE '^\\w\\W' GROUP BY initcap(s)",
        [("O'neil", 1)],
    ),
]


@pytest.mark.parametrize(("mode", "text", "expected"), STREAMS, ids=["of rows", "of all", "of groups"])
def test_sql_over_streams(
    spark: SparkSession, rows: DataFrame, database: str, mode: str, text: str, expected: list[tuple[Any, ...]]
) -> None:
    rows.write.format("delta").saveAsTable(f"{database}.events")
    stream = spark.sql(text.replace("events", f"{database}.events"))
    finish(stream.writeStream.queryName("answers").outputMode(mode).format("memory").trigger(availableNow=True).start())
    assert [repr(tuple(row)) for row in spark.table("answers").collect()] == [repr(row) for row in expected]


def test_columns_of_dataframes(rows: DataFrame) -> None:
    column = F.when(F.col("i") == 0, 0).otherwise(F.col("i") / 2)
    made = rows.orderBy("id").select(column, F.isnan("d"), F.split("c", ""), F.weekday("dt"), F.initcap("s"))
    assert made.columns == [
        "CASE WHEN (i = 0) THEN 0 ELSE (i / 2) END",
        "isnan(d)",
        "split(c, , -1)",
        "weekday(dt)",
        "initcap(s)",
    ]
    assert made.collect()[1] == (1.5, True, [""], 0, "O'neil")


def test_a_name_in_sql_stays(spark: SparkSession, rows: DataFrame) -> None:
    rows.createOrReplaceTempView("named")
    made = spark.sql("SELECT weekday(dt) + 1, string(i), if(i = 0, 1, 2.5D) FROM named")
    assert made.columns == ["(weekday(dt) + 1)", "i", "(IF((i = 0), 1, 2.5))"]


def test_a_list_over_rows_has_no_nulls(rows: DataFrame) -> None:
    lists = rows.select("id", F.collect_list("i").over(Window.orderBy("id")).alias("x")).orderBy("id")
    assert [row.x for row in lists.collect()] == [[0], [0, 3], [0, 3]]


def test_an_aggregate_of_a_cast_beside_one_of_the_column(spark: SparkSession, rows: DataFrame) -> None:
    rows.createOrReplaceTempView("casts")
    made = spark.sql("SELECT sum(i), sum(CAST(i AS DOUBLE)), max(i), max(string(i)) FROM casts")
    assert made.columns == ["sum(i)", "sum(CAST(i AS DOUBLE))", "max(i)", "max(i)"]
    assert [repr(value) for value in made.collect()[0]] == ["3", "3.0", "3", "'3'"]
    over = Window.partitionBy(F.lit(1))
    windows = rows.select(F.sum("i").over(over).alias("a"), F.sum(F.col("i").cast("double")).over(over).alias("b"))
    assert [repr(value) for value in windows.collect()[0]] == ["3", "3.0"]


def test_a_table_keeps_the_decimals_of_a_union(spark: SparkSession, database: str) -> None:
    numbers = spark.range(1).select(F.lit(1).alias("x")).union(spark.range(1).select(F.lit(2.5).alias("x")))
    assert numbers.schema["x"].dataType.simpleString() == "double"
    numbers.write.saveAsTable(f"{database}.numbers")
    spark.sql(f"CREATE TABLE {database}.more USING delta AS SELECT 1 AS x UNION ALL SELECT 2.5D")
    for name in ("numbers", "more"):
        assert sorted(row.x for row in spark.table(f"{database}.{name}").collect()) == [1.0, 2.5]


def test_statistics_come_in_order(rows: DataFrame) -> None:
    assert [row.summary for row in rows.describe("i").collect()] == ["count", "mean", "stddev", "min", "max"]
    assert rows.summary("max", "count").select("summary", "i").collect() == [("max", "3"), ("count", "2")]


def test_unpivot_with_nulls(spark: SparkSession, rows: DataFrame) -> None:
    rows.createOrReplaceTempView("wide")
    made = spark.sql(
        "SELECT id, n, v FROM (SELECT id, i, i * 2 AS j FROM wide) UNPIVOT INCLUDE NULLS (v FOR n IN (i, j))"
    )
    assert made.where("id > 1").orderBy("id", "n").collect() == [
        (2, "i", 3),
        (2, "j", 6),
        (3, "i", None),
        (3, "j", None),
    ]


@pytest.mark.riacho_only("the engine keeps nulls")
def test_unpivot_without_nulls_is_refused(spark: SparkSession) -> None:
    with pytest.raises(PySparkException, match="UNPIVOT INCLUDE NULLS"):
        spark.sql("SELECT * FROM (SELECT 1 AS k, 2 AS a, 3 AS b) UNPIVOT (v FOR n IN (a, b))").collect()


@pytest.mark.riacho_only("the engine has no such path, and would give null")
def test_paths_with_stars_are_refused(spark: SparkSession) -> None:
    with pytest.raises(PySparkException, match="from_json"):
        spark.sql("""SELECT get_json_object('{"a":[{"b":1}]}', '$.a[*].b')""").collect()


CASTS = [
    ("min(i)", 0),
    ("min(CAST(i AS STRING))", "0"),
    ("min(CAST(i AS DOUBLE))", 0.0),
    ("count(DISTINCT i)", 2),
    ("count(DISTINCT CAST(i AS BOOLEAN))", 2),
    ("max_by(i, id)", None),
    ("max_by(CAST(i AS DOUBLE), CAST(id AS STRING))", None),
    ("sum(if(i > 1, i, 0))", 3),
    ("sum(if(CAST(i AS DOUBLE) > 1, i, 0))", 3),
    ("sort_array(collect_list(i))", [0, 3]),
    ("sort_array(collect_list(CAST(i AS STRING)))", ["0", "3"]),
    ("percentile_approx(i, 0.5)", 0),
    ("percentile_approx(CAST(i AS DOUBLE), 0.5)", 0.0),
]


def test_aggregates_of_a_column_and_of_casts_of_it(spark: SparkSession, rows: DataFrame, tmp_path: Path) -> None:
    """The engine has one name for them, and gives one the values of the other, or fails."""
    expected = [value for _, value in CASTS]
    ordered = rows.orderBy("id").coalesce(1)
    ordered.createOrReplaceTempView("casts")
    texts = [f"{text} AS c{at}" for at, (text, _) in enumerate(CASTS)]
    frames = [
        spark.sql(f"SELECT {', '.join(texts)} FROM casts"),
        ordered.agg(*map(F.expr, texts)),
        spark.sql(f"SELECT {', '.join(text for text, _ in CASTS)} FROM casts"),
    ]
    ordered.write.format("delta").save(str(tmp_path / "cast"))
    stream = spark.readStream.format("delta").load(str(tmp_path / "cast")).groupBy().agg(*map(F.expr, texts[5:]))
    writer = stream.writeStream.queryName("casts_of_stream").outputMode("complete").format("memory")
    finish(writer.option("checkpointLocation", str(tmp_path / "c")).trigger(availableNow=True).start())
    for frame in frames:
        assert list(frame.collect()[0]) == expected
    assert frames[2].columns[:3] == ["min(i)", "min(CAST(i AS STRING))", "min(CAST(i AS DOUBLE))"]


def test_null_divided_by_zero(spark: SparkSession, rows: DataFrame) -> None:
    rows.createOrReplaceTempView("nulls")
    texts = ["n / zero", "n % zero", "mod(n, zero)", "n div zero", "CAST(n AS DECIMAL(9, 2)) / zero", "(n + 1) / zero"]
    source = "(SELECT i AS n, 0 AS zero FROM nulls WHERE i IS NULL)"
    assert list(spark.sql(f"SELECT {', '.join(texts)}, sum(n) OVER () / zero FROM {source}").collect()[0]) == [None] * 7
    frame = spark.sql(f"SELECT * FROM {source}").select(F.col("n") / F.col("zero"), F.col("n") % F.col("zero"))
    assert frame.columns == ["(n / zero)", "(n % zero)"]
    assert list(frame.collect()[0]) == [None, None]
    assert spark.sql("SELECT sum(i) / (count(*) - 1) FROM nulls WHERE i IS NULL").collect() == [(None,)]
    with pytest.raises(PySparkException, match="DIVIDE_BY_ZERO"):
        spark.sql("SELECT id / i FROM nulls").collect()


def test_windows_of_windows(spark: SparkSession, rows: DataFrame) -> None:
    rows.createOrReplaceTempView("moments")
    inner = "SELECT window(ts, '5 minutes') AS w, count(*) AS n FROM moments GROUP BY window(ts, '5 minutes')"
    made = spark.sql(f"SELECT window(w, '1 hour').start AS s, sum(n) AS n FROM ({inner}) GROUP BY window(w, '1 hour')")
    by_api = rows.groupBy(F.window("ts", "5 minutes")).count().groupBy(F.window("window", "1 hour")).agg(F.sum("count"))
    starts = [datetime(2024, 1, 31, 10), datetime(2024, 3, 1, 10)]  # noqa: DTZ001
    assert [tuple(row) for row in made.where("s IS NOT NULL").orderBy("s").collect()] == [
        (start, 1) for start in starts
    ]
    assert [row[0] for row in by_api.select("window.start").orderBy("start").collect()] == starts


def test_lambdas_in_conditions(spark: SparkSession, rows: DataFrame, tmp_path: Path) -> None:
    rows.write.format("delta").save(str(tmp_path / "lists"))
    lists = spark.read.format("delta").load(str(tmp_path / "lists"))
    lists.createOrReplaceTempView("lists")
    for condition in (
        "exists(a, x -> x = 2)",
        "id < 3 AND size(filter(a, x -> x + i > 0)) = 2",
        "array_join(transform(split(s, '-'), w -> upper(w)), ' ') = 'CRÈME BRÛLÉE X'",
        "initcap(s) = 'Crème Brûlée-x'",
    ):
        assert [row.id for row in lists.where(condition).collect()] == [1]
        assert [row.id for row in spark.sql(f"SELECT id FROM lists WHERE {condition} ORDER BY id").collect()] == [1]
    assert lists.where(F.exists("a", lambda x: x == 2)).count() == 1
