"""The time inside stateful operators is the batch's, and where Spark does not allow it."""

from __future__ import annotations

import pytest
from pyspark.errors import PySparkException
from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F

from tests.spec.stateful.conftest import Watch
from tests.spec.stateful.support import Feed


def test_keys(left: Feed, watch: Watch) -> None:
    stream = left.stream.withColumn("before", F.current_timestamp())
    keys = (F.current_timestamp().alias("now"), F.col("before"), F.current_date().alias("d"))
    query = watch(
        stream.groupBy(*keys).count().select((F.col("now") == F.col("before")).alias("same"), "count"), "update"
    )
    left.put((1, "a", 1), (2, "a", 1))
    assert query.step() == [(True, 2)]
    left.put((3, "a", 1))
    assert query.step() == [(True, 1)], "each batch has a time of its own"


def test_a_window_of_the_time(left: Feed, watch: Watch) -> None:
    query = watch(left.stream.groupBy(F.window(F.current_timestamp(), "1000 days")).count().select("count"), "update")
    left.put((1, "a", 1))
    assert query.step() == [(1,)]
    left.put((2, "a", 1), (3, "b", 1))
    assert query.step() == [(3,)]


def test_a_result_has_the_time_of_the_batch_in_which_it_comes_out(left: Feed, watch: Watch) -> None:
    stream = left.stream.withWatermark("ts", "0 minutes").withColumnRenamed("ts", "at")
    stream = stream.select("*", F.current_timestamp().alias("came"))
    now = F.current_timestamp()
    results = ((F.max("came") == now).alias("same"), (F.max("came") < now).alias("later"))
    query = watch(stream.groupBy(F.window("at", "1 minute")).agg(*results).select("same", "later"))
    left.put((1, "a", 1))
    query.step()
    left.put((30, "a", 1))
    assert query.step() == [(False, True)]


def test_deduplication(left: Feed, watch: Watch) -> None:
    query = watch(left.stream.withColumn("now", F.current_timestamp()).dropDuplicates(["now"]).select("k"))
    left.put((1, "a", 1), (2, "a", 1))
    assert query.step() == [("a",)]


@pytest.mark.parametrize(
    "time", [F.current_timestamp, F.current_date, F.localtimestamp, F.unix_timestamp], ids=lambda time: time.__name__
)
def test_an_aggregate_function_may_not_have_it(left: Feed, watch: Watch, time: type[Column]) -> None:
    frame = left.stream.groupBy("k").agg(F.max(time()))
    left.put((1, "a", 1))
    with pytest.raises(PySparkException, match="AGGREGATE_FUNCTION_WITH_NONDETERMINISTIC_EXPRESSION.*max"):
        watch(frame, "update").step()


@pytest.mark.parametrize(
    "condition", ["l.ts < current_timestamp()", "l.v < unix_timestamp()", "l.ts < localtimestamp()"]
)
@pytest.mark.parametrize("static", [False, True])
def test_nor_the_condition_of_a_join(
    spark: SparkSession, left: Feed, right: Feed, watch: Watch, condition: str, static: bool
) -> None:
    names = spark.createDataFrame([("a",)], "k string")
    other = names if static else right.stream
    joined = left.stream.alias("l").join(other.alias("r"), F.expr(f"l.k = r.k AND {condition}"))
    left.put((1, "a", 1))
    with pytest.raises(PySparkException, match="INVALID_NON_DETERMINISTIC_EXPRESSIONS"):
        watch(joined.select("l.k")).step()


def test_now_is_another_matter(left: Feed, right: Feed, watch: Watch) -> None:
    joined = left.stream.alias("l").join(right.stream.alias("r"), F.expr("l.k = r.k AND l.ts < now()"))
    query = watch(joined.select("l.k"))
    left.put((1, "a", 1))
    right.put((1, "a", 1))
    assert query.step() == [("a",)]


@pytest.mark.parametrize("time", ["unix_timestamp()", "unix_date(current_date())"])
def test_a_filter_by_the_time_stays_above_the_watermark(left: Feed, watch: Watch, time: str) -> None:
    query = watch(left.stream.withWatermark("ts", "0 minutes").where(f"v < {time}").dropDuplicates(["ts"]))
    left.put((10, "a", 1), (50, "a", 2_000_000_000))
    query.step()
    assert query.query.lastProgress is not None
    assert query.query.lastProgress.eventTime["watermark"] == "2024-01-01T00:50:00.000Z"
