"""What passes a watermark's mark on, from the column that has it to the operator that needs it."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from tests.spec.stateful.conftest import Watch
from tests.spec.stateful.support import Feed

Change = Callable[[DataFrame], DataFrame]

KEEP: dict[str, Change] = {
    "text": lambda w: w.selectExpr("ts", "k"),
    "a star in text": lambda w: w.selectExpr("*", "v + 1 AS x"),
    "an alias in text": lambda w: w.select(F.expr("(ts) AS t"), "k").withColumnRenamed("t", "ts"),
    "a name of the relation in text": lambda w: w.alias("q").selectExpr("q.TS", "q.k"),
    "all columns of the relation": lambda w: w.alias("q").selectExpr("q.*"),
    "a pattern": lambda w: w.select(w.colRegex("`(ts|k)`")),
    "a struct and back": lambda w: w.select(F.struct("ts", "k").alias("s")).select("s.ts", "s.k"),
    "a struct and its field": lambda w: w.select(F.struct("ts", "k").alias("s")).select(
        F.col("s").getField("ts").alias("ts"), "s.k"
    ),
    "structs in text": lambda w: (
        w.selectExpr("named_struct('i', struct(ts AS t, k)) AS s").selectExpr("s.i.*").toDF("ts", "k")
    ),
    "a struct of a column": lambda w: w.withColumn("s", F.struct("ts")).drop("ts").select("s.*", "k"),
    "a schema": lambda w: w.to(w.schema),
    "unpivot": lambda w: w.unpivot(["ts", "k"], ["v"], "name", "value"),
    "union": lambda w: w.selectExpr("ts", "k").unionByName(w.selectExpr("k", "ts")),
    "a window's time": lambda w: w.selectExpr("window(ts, '5 minutes') AS w", "k").selectExpr(
        "window_time(w) AS ts", "k"
    ),
}

LOSE: dict[str, Change] = {
    "CASE": lambda w: w.selectExpr("CASE WHEN v > 0 THEN ts ELSE ts END AS ts", "k"),
    "CAST": lambda w: w.selectExpr("CAST(ts AS TIMESTAMP) AS ts", "k"),
    "coalesce": lambda w: w.selectExpr("coalesce(ts, ts) AS ts", "k"),
    "a list and back": lambda w: w.selectExpr("array(ts) AS a", "k").selectExpr("a[0] AS ts", "k"),
    "another column's field": lambda w: w.selectExpr("struct(now() AS ts) AS p", "ts AS t", "k").selectExpr(
        "p.ts AS ts", "k"
    ),
    "a start of a window": lambda w: w.selectExpr("window(ts, '5 minutes') AS w", "k").selectExpr("w.start AS ts", "k"),
    "withColumn": lambda w: w.withColumn("ts", F.col("ts")),
    "metadata": lambda w: w.withMetadata("ts", {"a": 1}),
    "the right side of a union": lambda w: w.selectExpr("ts + INTERVAL 0 SECOND AS ts", "k").union(w.select("ts", "k")),
}

QUERIES_THAT_KEEP = (
    "SELECT ts, k FROM {v}",
    "SELECT x.* FROM {v} x WHERE k IN ('a', 'b')",
    "WITH c(a, b) AS (SELECT ts, k FROM {v}) SELECT a AS ts, b AS k FROM c",
    "SELECT a AS ts, b AS k FROM (SELECT ts, k FROM {v} WHERE v > 0) AS x(a, b)",
    "SELECT s.ts, s.k FROM (SELECT struct(ts, k) AS s FROM {v})",
    "SELECT ts, kk AS k FROM {v} LATERAL VIEW explode(array(k, k)) t AS kk",
    "SELECT ts, k FROM {v}, LATERAL (SELECT 1)",
    "SELECT ts, v.k FROM {v} v JOIN VALUES ('a'), ('b') AS t(k) ON v.k = t.k",
    "SELECT ts, k FROM {v} JOIN {names} USING (k) WHERE k IN (SELECT k FROM {names})",
    "SELECT window_time(w) AS ts, k FROM (SELECT window(ts, '5 minutes') AS w, k FROM {v})",
    "TABLE {v}",
)

QUERIES_THAT_LOSE = (
    "SELECT CASE WHEN v > 0 THEN ts END AS ts, k FROM {v}",
    "SELECT ts + INTERVAL 1 SECOND AS ts, k FROM {v}",
    "SELECT window(ts, '5 minutes').start AS ts, k FROM {v}",
)


def marked(feed: Feed) -> DataFrame:
    return feed.stream.withWatermark("ts", "5 minutes")


def counted(frame: DataFrame) -> DataFrame:
    return frame.groupBy(F.window("ts", "10 minutes"), "k").count()


def in_sql(w: DataFrame, query: str) -> DataFrame:
    """A query of views of the stream and of a table."""
    spark = w.sparkSession
    views = {"v": f"v_{uuid4().hex[:8]}", "names": f"names_{uuid4().hex[:8]}"}
    w.createOrReplaceTempView(views["v"])
    spark.createDataFrame([("a", "A")], "k string, name string").createOrReplaceTempView(views["names"])
    return spark.sql(query.format(**views))


def test_columns_that_pass_the_mark_on(left: Feed, watch: Watch) -> None:
    for change in KEEP.values():
        watch(counted(change(marked(left)))).query.stop()
    for query in QUERIES_THAT_KEEP:
        watch(counted(in_sql(marked(left), query))).query.stop()


def test_expressions_that_do_not(left: Feed, watch: Watch) -> None:
    frames = {name: change(marked(left)) for name, change in LOSE.items()}
    frames |= {query: in_sql(marked(left), query) for query in QUERIES_THAT_LOSE}
    refused = {}
    for name, frame in frames.items():
        with pytest.raises(AnalysisException) as error:
            watch(counted(frame))
        refused[name] = error.value.getCondition()
    assert refused == dict.fromkeys(frames, "STREAMING_OUTPUT_MODE.UNSUPPORTED_OPERATION")


def test_a_dataframe_from_below_the_watermark_knows_nothing_of_it(left: Feed, watch: Watch) -> None:
    below = left.stream
    with pytest.raises(AnalysisException, match="without watermark"):
        watch(below.withWatermark("ts", "5 minutes").groupBy(F.window(below.ts, "10 minutes")).count())
    above = below.withWatermark("ts", "5 minutes")
    query = watch(above.groupBy(F.window(above.ts, "10 minutes"), below.k).agg(F.sum(below.v), F.max(above.v)))
    left.put((1, "a", 1), (2, "a", 2), (30, "a", 1))
    assert query.step() == [((0, 10), "a", 3, 2)]


def test_keys_in_text(left: Feed, watch: Watch) -> None:
    frame = marked(left).selectExpr("struct(ts AS t, k) AS s").selectExpr("s.t", "s.k").alias("q")
    windows = watch(frame.groupBy(F.expr("window(q.t, '10 minutes') AS w"), F.expr("(k)")).count())
    times = watch(frame.groupBy(F.expr("q.t AS time")).count())
    sessions = watch(frame.groupBy(F.expr("session_window(t, '5 minutes')"), "k").count())
    left.put((1, "a", 1), (2, "a", 1), (12, "b", 1), (30, "a", 1))
    assert windows.step() == [((0, 10), "a", 2), ((10, 20), "b", 1)]
    assert times.step() == [(1, 1), (12, 1), (2, 1)]
    assert sessions.step() == [((1, 7), "a", 2), ((12, 17), "b", 1)]


def test_a_field_of_a_struct_is_no_key_with_event_time(left: Feed, watch: Watch) -> None:
    frame = marked(left).select(F.struct("ts", "k").alias("s"))
    for key in (F.col("s.ts"), F.window("s.ts", "10 minutes"), F.window(F.col("s.ts").alias("x"), "10 minutes")):
        with pytest.raises(AnalysisException, match="without watermark"):
            watch(frame.groupBy(key).count())


def test_operators_over_text(spark: SparkSession, left: Feed, right: Feed, watch: Watch) -> None:
    once = watch(marked(left).selectExpr("struct(ts, k) AS s").select("s.*").dropDuplicatesWithinWatermark(["k"]))
    name = f"v_{uuid4().hex[:8]}"
    marked(left).createOrReplaceTempView(name)
    events = spark.sql(f"SELECT ts AS t, k FROM {name}")
    others = marked(right).selectExpr("ts AS rt", "k AS rk", "v")
    joined = watch(
        events.join(others, F.expr("k = rk AND rt >= t AND rt <= t + INTERVAL 5 MINUTES"), "left_outer").select(
            "k", "v"
        )
    )
    left.put((1, "a", 1), (2, "a", 1), (3, "b", 1))
    right.put((4, "a", 7))
    assert once.step() == [(1, "a"), (3, "b")]
    assert joined.step() == [("a", 7), ("a", 7)]
    left.put((60, "c", 1))
    right.put((60, "c", 9))
    assert joined.step() == [("b", None), ("c", 9)]
