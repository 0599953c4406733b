"""Joins of streams with streams and with tables."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from tests.spec.stateful.conftest import Watch
from tests.spec.stateful.support import Feed


def ranged(left: Feed, right: Feed, how: str) -> DataFrame:
    """Right rows up to five minutes after the left row of the same key."""
    return ranged_streams(left.stream, right.stream, how)


def ranged_streams(left: DataFrame, right: DataFrame, how: str) -> DataFrame:
    one, other = left.withWatermark("ts", "0 minutes"), right.withWatermark("ts", "0 minutes")
    condition = "l.k = r.k AND r.ts >= l.ts AND r.ts <= l.ts + INTERVAL 5 MINUTES"
    joined = one.alias("l").join(other.alias("r"), F.expr(condition), how)
    return joined.select("l.v") if how == "left_semi" else joined.select("l.v", F.col("r.v").alias("u"))


def test_pairs_come_out_once_in_whatever_order_they_arrive(left: Feed, right: Feed, watch: Watch) -> None:
    query = watch(left.stream.join(right.stream, "k").select(left.stream.v, right.stream.v.alias("u")))
    left.put((1, "a", 1))
    assert query.step() == []
    right.put((1, "a", 10), (1, "b", 20))
    assert query.step() == [(1, 10)]
    left.put((1, "b", 2), (1, "a", 3))
    assert query.step() == [(2, 20), (3, 10)]
    assert query.state()["total"] == 5


def test_fields_of_structs(left: Feed, right: Feed, watch: Watch) -> None:
    """A field is not the column that has its name: what is asked of one must not be asked of the other."""
    one, other = (
        feed.stream.withColumn("s", F.struct("k", F.lit(1).alias("one"))).withColumn("k", F.lit(None).cast("string"))
        for feed in (left, right)
    )
    one = one.withWatermark("ts", "0 minutes").where("s.k <> 'c'").select(F.col("s.k").alias("a"), "ts", "v")
    other = other.withWatermark("ts", "0 minutes").select("s", F.col("ts").alias("at"), F.col("v").alias("u"))
    within = "at BETWEEN ts AND ts + INTERVAL 5 MINUTES"
    joined = watch(one.join(other, F.expr(f"a = s.k AND {within}")).select("v", "u", "s.one"))
    counted = watch(one.groupBy("a").count(), "update")
    left.put((1, "a", 1), (1, "b", 2), (1, "c", 3), (1, None, 4))
    right.put((2, "a", 10), (2, "c", 30), (2, None, 40))
    assert joined.step() == [(1, 10, 1)]
    assert counted.step() == [("a", 1), ("b", 1)]


def test_null_keys_match_nothing(left: Feed, right: Feed, watch: Watch) -> None:
    query = watch(left.stream.join(right.stream, "k").select("k"))
    left.put((1, None, 1))
    right.put((1, None, 1))
    assert query.step() == []


@pytest.mark.spark_bug("a full join of streams pairs rows whose keys are null, which no other join does")
def test_null_keys_match_nothing_in_a_full_join_either(left: Feed, right: Feed, watch: Watch) -> None:
    query = watch(ranged(left, right, "full"))
    left.put((1, None, 1))
    right.put((1, None, 10))
    assert query.step() == []
    left.put((60, "x", 2))
    right.put((60, "y", 20))
    assert query.step() == [(1, None), (None, 10)]


def test_a_filter_on_a_key_of_one_side_filters_the_other(left: Feed, right: Feed, watch: Watch) -> None:
    one = left.stream.where("k > 'a'")
    query = watch(one.join(right.stream.withColumnRenamed("v", "u"), "k", "inner").select("v", "u"))
    left.put((1, "a", 1), (1, "b", 2))
    right.put((1, "a", 10), (1, "b", 20))
    assert query.step() == [(2, 20)]
    assert query.state()["total"] == 2


@pytest.mark.parametrize(
    ("how", "unmatched"),
    [("inner", []), ("left", [(2, None)]), ("right", [(None, 20)]), ("full", [(2, None), (None, 20)])],
)
def test_rows_without_partner_come_out_when_none_can_come(
    left: Feed, right: Feed, watch: Watch, how: str, unmatched: list[tuple[int | None, int | None]]
) -> None:
    query = watch(ranged(left, right, how))
    left.put((1, "a", 1), (1, "b", 2))
    right.put((3, "a", 10), (3, "c", 20))
    assert query.step() == [(1, 10)]
    left.put((60, "x", 3))
    right.put((60, "y", 30))
    assert query.step() == unmatched


def test_a_semi_join_gives_a_left_row_once(left: Feed, right: Feed, watch: Watch) -> None:
    query = watch(ranged(left, right, "left_semi"))
    left.put((1, "a", 1), (1, "b", 2))
    assert query.step() == []
    right.put((2, "a", 10), (3, "a", 11))
    assert query.step() == [(1,)]
    right.put((4, "a", 12))
    assert query.step() == []


def test_a_right_row_that_leaves_at_once_finds_only_waiting_rows_in_a_semi_join(
    left: Feed, right: Feed, watch: Watch
) -> None:
    left.put((0, "a", 1), (7, "x", 3))
    right.put((7, "y", 30))
    # Not late, for that is told by the watermark of the batch before, but the state drops them with this batch.
    left.put((0, "a", 2))
    right.put((0, "a", 10))
    query = watch(ranged_streams(left.file_by_file, right.file_by_file, "left_semi"))
    assert query.step() == [(1,)]


def test_equal_windows_bound_the_state(left: Feed, right: Feed, watch: Watch) -> None:
    def windowed(feed: Feed) -> DataFrame:
        return feed.stream.withWatermark("ts", "0 minutes").select(F.window("ts", "10 minutes").alias("w"), "k", "v")

    query = watch(windowed(left).join(windowed(right).withColumnRenamed("v", "u"), ["w", "k"], "left").select("v", "u"))
    left.put((1, "a", 1), (2, "b", 2))
    right.put((9, "a", 10))
    assert query.step() == [(1, 10)]
    left.put((30, "z", 3))
    right.put((30, "y", 30))
    assert query.step() == [(2, None)]


def test_a_condition_on_one_side_alone_pads_a_row_at_once(left: Feed, right: Feed, watch: Watch) -> None:
    one, other = left.stream.withWatermark("ts", "0 minutes"), right.stream.withWatermark("ts", "0 minutes")
    condition = "l.k = r.k AND r.ts >= l.ts AND r.ts <= l.ts + INTERVAL 5 MINUTES AND l.v < 5"
    query = watch(
        one.alias("l").join(other.alias("r"), F.expr(condition), "left").select("l.v", F.col("r.v").alias("u"))
    )
    left.put((1, "a", 9), (1, "a", 1))
    right.put((1, "a", 10))
    assert query.step() == [(1, 10), (9, None)]


def test_an_aggregate_above_a_join(left: Feed, right: Feed, watch: Watch) -> None:
    one, other = left.stream.withWatermark("ts", "0 minutes"), right.stream.withWatermark("ts", "0 minutes")
    joined = one.join(other.withColumnRenamed("v", "u"), ["k", "ts"])
    query = watch(joined.groupBy(F.window("ts", "10 minutes")).agg(F.sum("u").alias("s")))
    left.put((1, "a", 1), (2, "a", 1))
    right.put((1, "a", 10), (2, "a", 20))
    query.step()
    left.put((30, "a", 1))
    right.put((30, "b", 1))
    assert query.step() == [((0, 10), 30)]


def test_a_table_beside_the_stream(spark: SparkSession, left: Feed, watch: Watch) -> None:
    names = spark.createDataFrame([("a", "Anna"), ("b", "Ben")], "k string, name string")
    query = watch(left.stream.join(names, "k", "left").select("name", "v"))
    left.put((1, "a", 1), (1, "z", 2))
    assert query.step() == [("Anna", 1), (None, 2)]


@pytest.mark.riacho_only
def test_a_condition_on_one_side_does_not_keep_its_rows_for_ever(left: Feed, right: Feed, watch: Watch) -> None:
    one, other = left.stream.withWatermark("ts", "0 minutes"), right.stream.withWatermark("ts", "0 minutes")
    condition = "l.k = r.k AND r.ts >= l.ts AND r.ts <= l.ts + INTERVAL 5 MINUTES AND l.v > 1"
    query = watch(
        one.alias("l").join(other.alias("r"), F.expr(condition), "left").select("l.v", F.col("r.v").alias("u"))
    )
    left.put((1, "a", 2))
    right.put((1, "b", 10))
    assert query.step() == []
    left.put((60, "x", 3))
    right.put((60, "y", 30))
    assert query.step() == [(2, None)]


# An outer join whose rows without a partner are taken out above is planned as a narrower one, which counts differently.
NARROWED = {
    ("left", "l"): 2,
    ("left", "r"): 4,
    ("right", "l"): 4,
    ("right", "r"): 2,
    ("full", "l"): 2,
    ("full", "r"): 2,
}


@pytest.mark.parametrize(("how", "side"), NARROWED)
def test_an_outer_join_does_without_the_rows_that_a_window_above_drops(
    left: Feed, right: Feed, watch: Watch, tmp_path: Path, how: str, side: str
) -> None:
    one, other = left.stream.withWatermark("ts", "0 minutes"), right.stream.withWatermark("ts", "0 minutes")
    condition = F.expr("l.k = r.k AND l.ts >= r.ts AND l.ts <= r.ts + INTERVAL 5 MINUTES")
    counts = one.alias("l").join(other.alias("r"), condition, how).groupBy(F.window(f"{side}.ts", "10 minutes")).count()
    removed = 0
    for minutes in ((1, 2), (30,)):
        left.put(*((minute, f"{minute}", 1) for minute in minutes), (None, "x", 1))
        right.put((minutes[0], f"{minutes[0]}", 1), (minutes[-1], "y", 1), (None, "z", 1))
        writer = counts.writeStream.format("noop").option("checkpointLocation", str(tmp_path / "checkpoint"))
        query = writer.trigger(availableNow=True).start()
        assert query.awaitTermination(60)
        removed += sum(p.stateOperators[1].numRowsRemoved for p in query.recentProgress if p.stateOperators)
    assert removed == NARROWED[how, side]
