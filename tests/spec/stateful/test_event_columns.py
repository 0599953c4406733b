"""Columns that carry event time: how many an operator may have, and which one counts."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from tests.spec.stateful.conftest import Watch
from tests.spec.stateful.support import Feed

Above = Callable[[DataFrame], DataFrame]
SEVERAL = "More than one event time columns are available"


def joined(left: Feed, right: Feed) -> DataFrame:
    """Two columns with event time, `a` and `b`."""
    one, other = left.stream.withWatermark("ts", "0 minutes"), right.stream.withWatermark("ts", "0 minutes")
    condition = "l.k = r.k AND l.ts >= r.ts AND l.ts <= r.ts + INTERVAL 5 MINUTES"
    both = one.alias("l").join(other.alias("r"), F.expr(condition))
    return both.select("l.k", F.col("l.ts").alias("a"), F.col("r.ts").alias("b"))


REFUSED: dict[str, Above] = {
    "deduplication by another": lambda frame: frame.dropDuplicates(["k"]),
    "deduplication by both": lambda frame: frame.dropDuplicates(["k", "a", "b"]).select("k"),
    "an expression of both above": lambda frame: frame.dropDuplicates(["k"]).select(
        (F.col("a") == F.col("b")).alias("e")
    ),
    "within the watermark": lambda frame: frame.dropDuplicatesWithinWatermark(["k"]),
    "distinct": lambda frame: frame.distinct(),
    "keys of an aggregation": lambda frame: frame.groupBy(F.window("a", "5 minutes"), "b").count(),
}
ALLOWED: dict[str, Above] = {
    "one is not used above": lambda frame: frame.dropDuplicates(["k"]).select("k", "a"),
    "one is aggregated": lambda frame: frame.groupBy(F.window("a", "5 minutes")).agg(F.max("b").alias("b")),
    "no operator above": lambda frame: frame,
}


@pytest.mark.parametrize("above", REFUSED.values(), ids=REFUSED)
def test_an_operator_may_not_have_two(left: Feed, right: Feed, watch: Watch, above: Above) -> None:
    left.put((1, "a", 1))
    with pytest.raises(PySparkException, match=SEVERAL):
        watch(above(joined(left, right))).step()


@pytest.mark.parametrize("above", ALLOWED.values(), ids=ALLOWED)
def test_what_is_not_used_does_not_count(left: Feed, right: Feed, watch: Watch, above: Above) -> None:
    query = watch(above(joined(left, right)))
    left.put((1, "a", 1))
    right.put((1, "a", 1))
    query.step()


@pytest.mark.parametrize("mode", ["append", "update"])
def test_a_time_and_its_window_are_two(left: Feed, watch: Watch, mode: str) -> None:
    counts = left.stream.withWatermark("ts", "0 minutes").groupBy("ts", F.window("ts", "5 minutes")).count()
    left.put((1, "a", 1))
    with pytest.raises(PySparkException, match=SEVERAL):
        watch(counts, mode).step()


def test_complete_mode_looks_at_none(left: Feed, watch: Watch) -> None:
    stream = left.stream.withWatermark("ts", "0 minutes")
    query = watch(stream.groupBy("ts", F.window("ts", "5 minutes")).count().select("count"), "complete")
    left.put((1, "a", 1))
    assert query.step() == [(1,)]


def test_the_side_of_a_join_may_not_have_two(left: Feed, right: Feed, watch: Watch) -> None:
    stream = left.stream.withWatermark("ts", "0 minutes").select("k", "ts", F.col("ts").alias("again"))
    left.put((1, "a", 1))
    with pytest.raises(PySparkException, match=SEVERAL):
        watch(stream.join(right.stream.select("k", "v"), "k")).step()


def test_a_column_made_of_another_has_no_event_time(left: Feed, watch: Watch) -> None:
    stream = left.stream.withWatermark("ts", "0 minutes").withColumn("again", F.col("ts"))
    with pytest.raises(PySparkException, match="without watermark"):
        watch(stream.groupBy(F.window("again", "5 minutes")).count())


def test_the_one_that_is_used_lets_keys_be_forgotten(left: Feed, watch: Watch) -> None:
    stream = left.stream.withWatermark("ts", "0 minutes").select("*", F.window("ts", "5 minutes").alias("w"))
    query = watch(stream.dropDuplicates(["k", "w"]).select("k"))
    left.put((1, "a", 1))
    query.step()
    left.put((30, "a", 1))
    query.step()
    assert query.query.lastProgress is not None
    assert query.query.lastProgress.stateOperators[0].numRowsTotal == 1


def test_a_session_needs_another_key(left: Feed, watch: Watch) -> None:
    sessions = left.stream.withWatermark("ts", "0 minutes").groupBy(F.session_window("ts", "5 minutes"))
    left.put((1, "a", 1))
    with pytest.raises(PySparkException, match="Global aggregation with session window"):
        watch(sessions.count()).step()
