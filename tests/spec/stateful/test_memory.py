"""A bound on the memory of state changes no result."""

from __future__ import annotations

import pytest
from pyspark.errors import StreamingQueryException
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from tests.spec.stateful.conftest import Watch
from tests.spec.stateful.support import Feed

BOUNDED = "spark.sql.streaming.stateStore.rocksdb.boundedMemoryUsage"
BOUND = "spark.sql.streaming.stateStore.rocksdb.maxMemoryUsageMB"


@pytest.fixture(autouse=True)
def bounded(spark: SparkSession) -> None:
    spark.conf.set(BOUNDED, "true")
    spark.conf.set(BOUND, "1")


@pytest.mark.parametrize("mode", ["update", "complete"])
def test_an_aggregation_is_the_same(mode: str, left: Feed, watch: Watch) -> None:
    query = watch(left.stream.groupBy("k").agg(F.sum("v").alias("s")), mode)
    left.put((1, "a", 1), (1, "b", 2))
    assert query.step() == [("a", 1), ("b", 2)]
    left.put((1, "a", 3), (1, "c", 4))
    assert query.step() == [("a", 4), *([("b", 2)] if mode == "complete" else []), ("c", 4)]


def test_rows_that_wait_on_both_sides_meet_once(left: Feed, right: Feed, watch: Watch) -> None:
    pairs = left.stream.alias("l").join(right.stream.alias("r"), F.expr("l.k = r.k and l.v < r.v"))
    query = watch(pairs.selectExpr("l.v as a", "r.v as b"))
    left.put((1, "a", 1), (1, "a", 5))
    right.put((1, "a", 3))
    assert query.step() == [(1, 3)]
    left.put((2, "a", 2), (2, "b", 0))
    right.put((2, "a", 4))
    assert query.step() == [(1, 4), (2, 3), (2, 4)]
    right.put((3, "a", 9))
    assert query.step() == [(1, 9), (2, 9), (5, 9)]


@pytest.mark.riacho_only  # Spark looks at these confs with the RocksDB provider alone
@pytest.mark.parametrize(
    ("conf", "value", "message"),
    [
        (BOUNDED, "perhaps", f"Invalid value for '{BOUNDED}', must be boolean"),
        (BOUND, "1g", f"Invalid value for '{BOUND}', must be a long"),
        (BOUND, "0", "Total memory usage must be a positive integer"),
    ],
)
def test_a_wrong_bound_is_refused(
    spark: SparkSession, left: Feed, watch: Watch, conf: str, value: str, message: str
) -> None:
    spark.conf.set(conf, value)
    left.put((1, "a", 1))
    with pytest.raises(StreamingQueryException, match=message):
        watch(left.stream.dropDuplicates(["k"])).step()


@pytest.mark.riacho_only
def test_progress_tells_what_is_in_memory_and_what_on_disk(left: Feed, watch: Watch) -> None:
    query = watch(left.stream.dropDuplicates(["k"]))
    for value in range(3):
        left.put((1, f"k{value}", value))
        query.step()
    progress = query.query.lastProgress
    assert progress is not None
    [operator] = progress["stateOperators"]
    metrics = operator["customMetrics"]
    assert 0 <= operator["memoryUsedBytes"] <= metrics["stateOnCurrentVersionSizeBytes"]
    assert 0 < metrics["stateOnCurrentVersionSizeBytes"] <= 1 << 20
    assert metrics["numStateFiles"] == 3
