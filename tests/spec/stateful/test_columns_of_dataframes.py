"""`df.k` further up: columns of a DataFrame that is below what riacho runs itself or takes out of the plan."""

from __future__ import annotations

from uuid import uuid4

import pytest
from pyspark.errors import StreamingQueryException
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from tests.spec.stateful.conftest import Watch
from tests.spec.stateful.support import Feed, Watched, plain


def test_columns_from_below_a_watermark(left: Feed, watch: Watch) -> None:
    d = left.stream
    w = d.withWatermark("ts", "5 minutes")
    selected = watch(w.filter(d.v > 1).select(d.k, w.v, (d.v + w.v).alias("both")))
    computed = watch(d.withColumn("x", d.v + 1).withWatermark("ts", "5 minutes").where(d.v > 1).select(d.k, "x"))
    watched = watch(w.observe("seen", F.count(d.k)).drop(d.ts).filter(d.k == "a").select(d.v))
    grouped = watch(w.groupBy(F.window(d.ts, "10 minutes"), d.k).agg(F.sum(d.v), F.max(w.v)), mode="update")
    left.put((1, "a", 1), (2, "a", 2), (3, "b", 3))
    assert selected.step() == [("a", 2, 4), ("b", 3, 6)]
    assert computed.step() == [("a", 3), ("b", 4)]
    assert watched.step() == [(1,), (2,)]
    assert grouped.step() == [((0, 10), "a", 3, 2), ((0, 10), "b", 3, 3)]


def test_columns_from_below_operators(spark: SparkSession, left: Feed, right: Feed, watch: Watch) -> None:
    d, e = left.stream, right.stream
    w, x = d.withWatermark("ts", "5 minutes"), e.withWatermark("ts", "5 minutes")
    names = spark.createDataFrame([("a", "A"), ("b", "B")], "k string, name string")
    once = watch(w.dropDuplicatesWithinWatermark(["k"]).filter(d.v > 0).select(d.k, w.v))
    first = watch(w.limit(2).select(d.k, w.v))
    named = watch(w.join(names, d.k == names.k).filter(w.v > 1).select(d.k, names.name, d.v))
    joined = watch(w.join(x, (d.k == e.k) & (w.ts == x.ts)).where(d.v > 1).select(d.k, x.v))
    counts = watch(w.groupBy("ts", d.k).count().filter(d.k == "a").select(w.k, w.ts, "count"))
    totals = watch(d.groupBy("k").agg(F.sum("v").alias("n")).where(d.k != "b").select(d.k, "n"), mode="complete")
    left.put((1, "a", 1), (2, "a", 2), (3, "b", 3), (30, "a", 1))
    right.put((2, "a", 20), (3, "b", 30))
    assert once.step() == [("a", 1), ("b", 3)]
    assert first.step() == [("a", 1), ("a", 2)]
    assert named.step() == [("a", "A", 2), ("b", "B", 3)]
    assert joined.step() == [("a", 20), ("b", 30)]
    assert counts.step() == [("a", 1, 1), ("a", 2, 1)]
    assert totals.step() == [("a", 4)]


def test_columns_of_joins(spark: SparkSession, left: Feed, right: Feed, watch: Watch) -> None:
    w, x = left.stream.withWatermark("ts", "5 minutes"), right.stream.withWatermark("ts", "5 minutes")
    a, b, c = w.alias("a"), x.alias("b"), right.file_by_file.withWatermark("ts", "5 minutes").alias("c")
    same = a.join(b, F.expr("a.k = b.k AND a.ts = b.ts")).join(c, F.expr("b.k = c.k AND a.ts = c.ts"))
    three = watch(same.select("a.k", F.col("b.v").alias("bv"), F.col("c.v").alias("cv")))
    soon = "{0}.k = a.k AND {0}.ts >= a.ts AND {0}.ts <= a.ts + INTERVAL 5 MINUTES"
    outer = a.join(b, F.expr(soon.format("b")), "left_outer").join(c, F.expr(soon.format("c")), "left_outer")
    padded = watch(outer.select("a.k", F.col("b.v").alias("bv"), F.col("c.v").alias("cv")))
    by_frame = watch(
        w.join(x, (w.k == x.k) & (w.ts == x.ts)).join(c, (w.k == F.col("c.k")) & (x.ts == F.col("c.ts"))).select(w.k)
    )
    names = spark.createDataFrame([("a", "A"), ("b", "B")], "k string, name string")
    named = left.stream.alias("a").join(names.alias("n"), F.expr("a.k = n.k"))
    windows = watch(
        named.withWatermark("ts", "5 minutes").groupBy(F.window("a.ts", "10 minutes"), "n.k", "n.name").count()
    )
    first = watch(named.limit(1).select("a.k", "n.name"))
    once = watch(a.join(names.alias("n"), F.expr("a.k = n.k")).dropDuplicates(["ts"]).select("n.k", "a.v"))
    left.put((1, "a", 1), (2, "b", 2), (2, "b", 3))
    right.put((1, "a", 10))
    assert three.step() == [("a", 10, 10)]
    assert by_frame.step() == [("a",)]
    assert padded.step() == [("a", 10, 10)]
    assert windows.step() == []
    assert first.step() == [("a", "A")]
    assert once.step() == [("a", 1), ("b", 2)]
    left.put((60, "z", 1))
    right.put((60, "z", 20))
    assert padded.step() == [("b", None, None), ("b", None, None), ("z", 20, 20)]
    left.put((61, "a", 1))
    assert windows.step() == [((0, 10), "a", "A", 1), ((0, 10), "b", "B", 2)]


def test_columns_of_views_and_queries_of_them(spark: SparkSession, left: Feed, watch: Watch) -> None:
    name = f"v_{uuid4().hex[:8]}"
    left.stream.createOrReplaceTempView(name)
    table = spark.table(name)
    query = spark.sql(f"SELECT *, v + 1 AS next FROM {name}")
    of_table = watch(table.withWatermark("ts", "5 minutes").filter(table.v > 1).select(table.k))
    of_query = watch(
        query.withWatermark("ts", "5 minutes").groupBy(F.window("ts", "10 minutes"), query.k).agg(F.sum(query.next))
    )
    left.put((1, "a", 1), (2, "b", 2), (30, "a", 1))
    assert of_table.step() == [("b",)]
    assert of_query.step() == [((0, 10), "a", 2), ((0, 10), "b", 3)]


def test_keys_of_groups_in_a_batch(spark: SparkSession) -> None:
    d = spark.createDataFrame([("a", 1), ("a", 2), ("b", 3)], "k string, v int")
    counts = d.groupBy("k").count()
    assert [tuple(row) for row in counts.select(d.k, "count").orderBy(d.k).collect()] == [("a", 2), ("b", 1)]
    assert counts.filter(d.k == "a").collect() == [("a", 2)]
    totals = d.groupBy(d.k, "v").count().where(d.v > 1).groupBy(d.k).agg(F.sum("count").alias("n"))
    assert sorted(totals.select(d.k, totals.n).collect()) == [("a", 1), ("b", 1)]
    named = d.alias("d").groupBy("d.k").agg(F.sum("d.v").alias("n")).orderBy("d.k").select("d.k", "n")
    assert [tuple(row) for row in named.collect()] == [("a", 3), ("b", 3)]
    back = d.join(counts, d.k == counts.k).select(d.v, counts.k, "count")
    assert sorted(map(plain, back.collect())) == [(1, "a", 2), (2, "a", 2), (3, "b", 1)]


def test_a_second_watermark_is_refused(left: Feed, watch: Watch) -> None:
    query = watch(left.stream.withWatermark("ts", "5 minutes").withWatermark("ts", "1 minute").select("k"))
    left.put((1, "a", 1))
    with pytest.raises(StreamingQueryException, match="Redefining watermark is disallowed"):
        query.query.processAllAvailable()


def test_a_query_takes_the_name_of_a_view(spark: SparkSession, left: Feed) -> None:
    name = f"v_{uuid4().hex[:8]}"
    left.stream.createOrReplaceTempView(name)
    query = Watched(spark.table(name).select("k"), "append", name)
    left.put((1, "a", 1))
    assert query.step() == [("a",)]
    query.query.stop()
