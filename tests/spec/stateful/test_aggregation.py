"""Streaming aggregation: what comes out, when, and what is kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import Column
from pyspark.sql import functions as F

from tests.spec.stateful.conftest import Watch
from tests.spec.stateful.support import Feed


def test_append_gives_a_window_once_the_watermark_has_passed_its_end(left: Feed, watch: Watch) -> None:
    counts = left.stream.withWatermark("ts", "5 minutes").groupBy(F.window("ts", "10 minutes"), "k").count()
    query = watch(counts)
    left.put((1, "a", 1), (2, "b", 1), (3, "a", 1))
    assert query.step() == []
    left.put((14, "a", 1))  # the watermark is 9: the window to 10 is still open
    assert query.step() == []
    left.put((15, "a", 1))  # 10: it closes
    assert query.step() == [((0, 10), "a", 2), ((0, 10), "b", 1)]
    assert query.step() == []


def test_update_gives_the_groups_that_changed(left: Feed, watch: Watch) -> None:
    query = watch(left.stream.groupBy("k").agg(F.sum("v"), F.max("ts")), "update")
    left.put((1, "a", 1), (2, "b", 2))
    assert query.step() == [("a", 1, 1), ("b", 2, 2)]
    left.put((0, "a", 10))
    assert query.step() == [("a", 11, 1)]
    assert query.state() == {"total": 2, "updated": 1, "late": 0}


def test_complete_gives_everything_and_drops_nothing(left: Feed, watch: Watch) -> None:
    counts = left.stream.withWatermark("ts", "1 minute").groupBy(F.window("ts", "10 minutes")).count()
    query = watch(counts, "complete")
    left.put((1, "a", 1))
    assert query.step() == [((0, 10), 1)]
    left.put((90, "a", 1))
    query.step()
    left.put((2, "a", 1))
    assert query.step() == [((0, 10), 2), ((90, 100), 1)]


def test_late_rows_are_dropped_against_the_watermark_of_the_batch_before(left: Feed, watch: Watch) -> None:
    counts = left.stream.withWatermark("ts", "0 minutes").groupBy(F.window("ts", "10 minutes")).count()
    query = watch(counts, "update")
    left.put((25, "a", 1))
    query.step()
    left.put((5, "a", 1), (6, "a", 1), (21, "a", 1))
    assert query.step() == [((20, 30), 2)]
    assert query.state() == {"total": 1, "updated": 1, "late": 1}  # late rows count as the group that they make


def test_sliding_windows_hold_a_row_several_times(left: Feed, watch: Watch) -> None:
    sums = left.stream.groupBy(F.window("ts", "10 minutes", "5 minutes")).agg(F.sum("v").alias("s"))
    query = watch(sums, "update")
    left.put((7, "a", 3))
    assert query.step() == [((0, 10), 3), ((5, 15), 3)]


def test_sliding_windows_that_overlap_in_part(left: Feed, watch: Watch) -> None:
    """Ten minutes from minute 1, 5, 9 …: rows count for two windows or three, and late ones for those they are in."""
    window = F.window("ts", "10 minutes", "4 minutes", "1 minute")
    functions = [F.count("*"), F.sum("v"), F.avg("v"), F.min("v"), F.max("v"), F.round(F.stddev_pop("v"), 3)]
    query = watch(left.stream.withWatermark("ts", "0 minutes").groupBy("k", window).agg(*functions), "update")
    left.put((-3, "a", 1), (0, "a", 2), (1, "a", None), (8, "a", 6), (8, "b", 3), (None, "a", 9), (3, None, 4))
    assert query.step() == [
        ("a", (-11, -1), 1, 1, 1, 1, 1, 0),
        ("a", (-3, 7), 3, 3, 1.5, 1, 2, 0.5),
        ("a", (-7, 3), 3, 3, 1.5, 1, 2, 0.5),
        ("a", (1, 11), 2, 6, 6, 6, 6, 0),
        ("a", (5, 15), 1, 6, 6, 6, 6, 0),
        ("b", (1, 11), 1, 3, 3, 3, 3, 0),
        ("b", (5, 15), 1, 3, 3, 3, 3, 0),
        (None, (-3, 7), 1, 4, 4, 4, 4, 0),
        (None, (1, 11), 1, 4, 4, 4, 4, 0),
    ]
    left.put((7, "a", 10))
    assert query.step() == [("a", (1, 11), 3, 16, 8, 6, 10, 2), ("a", (5, 15), 2, 16, 8, 6, 10, 2)]
    left.put((9, "b", 1), (2, "a", 1), (-4, "a", 5), (6, "b", 5))
    assert query.step() == [
        ("a", (1, 11), 4, 17, 17 / 3, 1, 10, 3.682),
        ("b", (1, 11), 3, 9, 3, 1, 5, 1.633),
        ("b", (5, 15), 3, 9, 3, 1, 5, 1.633),
        ("b", (9, 19), 1, 1, 1, 1, 1, 0),
    ]
    assert query.state() == {"total": 6, "updated": 4, "late": 4}


def test_the_first_row_of_a_sliding_window_is_the_one_that_came_first(left: Feed, watch: Watch) -> None:
    window = F.window("ts", "10 minutes", "5 minutes")
    query = watch(left.stream.groupBy(window).agg(F.first("v"), F.last("v"), F.max_by("v", "k")), "update")
    left.put((7, "a", 1), (1, "a", 2), (8, "a", 3), (2, "a", 4))
    assert query.step() == [((-5, 5), 2, 4, 4), ((0, 10), 1, 4, 4), ((5, 15), 1, 3, 3)]


def test_whole_rows_are_kept_until_their_window_closes(left: Feed, watch: Watch) -> None:
    window = F.window("ts", "10 minutes")
    every, some = F.collect_list(F.struct("*")), F.expr("collect_list(CASE WHEN v > 1 THEN k END)")
    query = watch(left.stream.withWatermark("ts", "0 minutes").groupBy(window).agg(every, some, F.count("*")))
    left.put((8, "a", 1), (9, "b", 2), (9, None, None))
    query.step()
    left.put((20, "a", 1))
    assert query.step() == [((0, 10), ((8, "a", 1), (9, "b", 2), (9, None, None)), ("b",), 3)]


def test_rows_without_event_time_are_in_no_window(left: Feed, watch: Watch) -> None:
    query = watch(left.stream.groupBy(F.window("ts", "10 minutes")).count(), "complete")
    left.put((None, "a", 1), (1, "a", 1))
    assert query.step() == [((0, 10), 1)]


def test_one_group_for_all_rows(left: Feed, watch: Watch) -> None:
    query = watch(left.stream.agg(F.count("*"), F.sum("v"), F.avg("v")), "complete")
    left.put((1, "a", 1), (1, "b", 2))
    assert query.step() == [(2, 3, 1.5)]
    left.put((1, "c", None))
    assert query.step() == [(3, 3, 1.5)]


@pytest.mark.parametrize(
    "columns",
    [[F.count("*"), F.sum("v"), F.lit(7).alias("x")], [F.expr("count(*) c"), F.expr("sum(v) + 0 AS s"), F.lit(7)]],
    ids=["functions", "text"],
)
def test_a_projection_of_aggregates_is_one_group(left: Feed, watch: Watch, columns: list[Column]) -> None:
    query = watch(left.stream.select(*columns), "update")
    left.put((1, "a", 1), (1, "b", 2))
    assert query.step() == [(2, 3, 7)]
    left.put((1, "c", 4))
    assert query.step() == [(3, 7, 7)]


def test_a_projection_of_aggregates_has_no_result_to_append(left: Feed, watch: Watch) -> None:
    with pytest.raises(AnalysisException, match=r"STREAMING_OUTPUT_MODE\.UNSUPPORTED_OPERATION"):
        watch(left.stream.select(F.count("*")), "append")


def test_functions_that_merge(left: Feed, watch: Watch) -> None:
    functions = [
        F.count("v"), F.sum("v"), F.avg("v"), F.min("v"), F.max("k"), F.stddev("v"), F.var_pop("v"),
        F.count_if(F.col("v") > 2), F.bool_and(F.col("v") > 1), F.bool_or(F.col("v") > 4), F.min("ts"),
    ]  # fmt: skip
    query = watch(left.stream.groupBy().agg(*functions), "complete")
    left.put((1, "a", 1), (2, "b", 3))
    query.step()
    left.put((3, "c", 5), (4, None, None))
    assert query.step() == [(3, 9, 3.0, 1, "c", 2.0, 8 / 3, 2, False, True, 1)]


def test_functions_that_need_all_rows(left: Feed, watch: Watch) -> None:
    functions = [F.sort_array(F.collect_list("v")), F.sort_array(F.collect_set("v")), F.max_by("k", "v"), F.median("v")]
    query = watch(left.stream.groupBy("k").agg(*functions), "update")
    left.put((1, "a", 1), (2, "a", 3))
    query.step()
    left.put((3, "a", 1))
    assert query.step() == [("a", (1, 1, 3), (1, 3), "a", 1.0)]


def test_an_expression_of_aggregates(left: Feed, watch: Watch) -> None:
    query = watch(left.stream.groupBy("k").agg((F.sum("v") / F.count("*") + 1).alias("x")), "update")
    left.put((1, "a", 1))
    assert query.step() == [("a", 2.0)]
    left.put((1, "a", 4))
    assert query.step() == [("a", 3.5)]


@pytest.mark.parametrize("quotient", ["sum(v) / count(v)", "sum(v) % count(v) + 1"])
def test_null_by_zero_is_null(left: Feed, watch: Watch, quotient: str) -> None:
    query = watch(left.stream.agg(F.expr(quotient).alias("x")), "complete")
    left.put((1, "a", None))
    assert query.step() == [(None,)]


def test_null_by_zero_is_null_inside_an_aggregate(left: Feed, watch: Watch) -> None:
    query = watch(left.stream.groupBy("k").agg(F.sum(F.col("v") / F.length("k"))), "update")
    left.put((1, "", None), (1, "a", 2))
    assert query.step() == [("", None), ("a", 2.0)]


def test_null_is_a_key(left: Feed, watch: Watch) -> None:
    query = watch(left.stream.groupBy("k").count(), "update")
    left.put((1, None, 1))
    query.step()
    left.put((1, None, 1))
    assert query.step() == [(None, 2)]


def test_sort_and_limit_of_a_complete_result(left: Feed, watch: Watch) -> None:
    query = watch(left.stream.groupBy("k").count().orderBy(F.desc("count")).limit(1), "complete")
    left.put((1, "a", 1), (1, "b", 1), (1, "b", 1))
    assert query.step() == [("b", 2)]
    left.put((1, "a", 1), (1, "a", 1))
    assert query.step() == [("a", 3)]


def test_windows_of_windows(left: Feed, watch: Watch) -> None:
    marked = left.stream.withWatermark("ts", "0 minutes")
    fives = marked.groupBy(F.window("ts", "5 minutes"), "k").count()
    query = watch(fives.groupBy(F.window("window", "10 minutes")).agg(F.sum("count").alias("n")))
    left.put((1, "a", 1), (2, "b", 1), (6, "a", 1))
    query.step()
    left.put((30, "a", 1))
    assert query.step() == [((0, 10), 3)]


def test_state_survives_a_restart(left: Feed, watch: Watch, tmp_path: Path) -> None:
    counts = left.stream.withWatermark("ts", "5 minutes").groupBy(F.window("ts", "10 minutes")).count()
    writer = counts.writeStream.format("noop").option("checkpointLocation", str(tmp_path / "c")).outputMode("append")
    left.put((1, "a", 1), (2, "a", 1))
    writer.trigger(availableNow=True).start().awaitTermination()
    left.put((3, "a", 1))
    query = writer.trigger(availableNow=True).start()
    query.awaitTermination()
    assert query.recentProgress[0].stateOperators[0].numRowsTotal == 1
    assert query.recentProgress[0].eventTime["watermark"] == "2023-12-31T23:57:00.000Z"
