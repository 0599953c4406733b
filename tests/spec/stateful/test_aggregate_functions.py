"""Aggregate functions over batches: each as over all rows at once, whatever is kept between them."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import Column
from pyspark.sql import functions as F

from tests.spec.stateful.conftest import Watch
from tests.spec.stateful.support import Event, Feed

BATCHES: list[list[Event]] = [
    [(1, "a", 1), (2, "a", 3), (3, "a", None)],
    [(4, "a", 3), (5, "a", 8)],
    [(6, "a", 2)],
]
V, K, TS = F.col("v"), F.col("k"), F.col("ts")
MINUTE = F.minute("ts")


def outputs(left: Feed, watch: Watch, function: Column | str) -> list[Any]:
    """What the function gives after each batch."""
    column = F.expr(function) if isinstance(function, str) else function
    query = watch(left.stream.groupBy("k").agg(column.alias("r")), "update")
    found = []
    for batch in BATCHES:
        left.put(*batch)
        [(_, result)] = query.step()
        found.append(round(result, 9) if isinstance(result, float) else result)
    return found


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (F.max_by("ts", "v"), [2, 5, 5]),
        (F.min_by(MINUTE, "v"), [1, 1, 1]),
        (F.max_by(MINUTE, F.lit(1)), [3, 5, 6]),  # of equals the last
        (F.max(F.struct("v", "ts")), [(3, 2), (8, 5), (8, 5)]),
        (F.min(F.struct("v", "ts")), [(None, 3), (None, 3), (None, 3)]),
        (F.first("v"), [1, 1, 1]),
        (F.last("v"), [None, 8, 2]),
        (F.last("v", ignorenulls=True), [3, 8, 2]),
        (F.first(F.array("v")), [(1,), (1,), (1,)]),
        (F.product("v"), [3.0, 72.0, 144.0]),
        (F.try_sum("v"), [4, 15, 17]),
        (F.try_avg(V.cast("decimal(8,2)")).cast("string"), ["2.000000", "3.750000", "3.400000"]),
        (F.sum(V.cast("decimal(38,0)")), [Decimal(4), Decimal(15), Decimal(17)]),
        (F.bit_xor("v"), [2, 9, 11]),
    ],
)
def test_a_number_or_two(left: Feed, watch: Watch, function: Column, expected: list[Any]) -> None:
    assert outputs(left, watch, function) == expected


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (F.skewness("v"), [0.0, 0.796879984, 1.14277635]),
        (F.kurtosis("v"), [-2.0, -0.853000262, -0.156971289]),
        (F.corr("v", MINUTE), [1.0, 0.855984977, 0.437290887]),
        (F.covar_samp("v", MINUTE), [1.0, 4.666666667, 2.45]),
        (F.regr_slope("v", MINUTE), [2.0, 1.4, 0.569767442]),
        (F.regr_intercept("v", MINUTE), [-1.0, -0.45, 1.348837209]),
        (F.regr_r2("v", MINUTE), [1.0, 0.73271028, 0.19122332]),
        (F.regr_count("v", MINUTE), [2, 4, 5]),
    ],
)
def test_moments(left: Feed, watch: Watch, function: Column, expected: list[Any]) -> None:
    assert outputs(left, watch, function) == expected


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (F.collect_list("v"), [(1, 3), (1, 3, 3, 8), (1, 3, 3, 8, 2)]),
        (F.sort_array(F.collect_set("v")), [(1, 3), (1, 3, 8), (1, 2, 3, 8)]),
        (F.listagg(V.cast("string"), F.lit("-")), ["1-3", "1-3-3-8", "1-3-3-8-2"]),
        (F.mode("v", deterministic=True), [1, 3, 3]),
        (F.median("v"), [2.0, 3.0, 3.0]),
        (F.percentile("v", [0.25, 0.5]), [(1.5, 2.0), (2.5, 3.0), (2.0, 3.0)]),
        (F.percentile("v", 0.5, F.col("v")), [3.0, 8.0, 3.0]),
        (F.percentile_approx("v", 0.5), [1, 3, 3]),
        (F.percentile_approx("ts", [0.0, 1.0]), [(1, 3), (1, 5), (1, 6)]),
        (F.approx_count_distinct("v"), [2, 3, 4]),
        (F.approx_count_distinct(V / 2, 0.01), [2, 3, 4]),
    ],
)
def test_values(left: Feed, watch: Watch, function: Column, expected: list[Any]) -> None:
    assert outputs(left, watch, function) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sum(v) FILTER (WHERE v > 2)", [3, 14, 14]),
        ("count(*) FILTER (WHERE v > 2)", [1, 3, 3]),
        ("first(v) FILTER (WHERE v > 1)", [3, 3, 3]),
        ("first(v) IGNORE NULLS", [1, 1, 1]),
        ("sum(v) / count(v) + 1", [3.0, 4.75, 4.4]),
        ("percentile_cont(0.5) WITHIN GROUP (ORDER BY v DESC)", [2.0, 3.0, 3.0]),
        ("listagg(v, ',') WITHIN GROUP (ORDER BY v)", ["1,3", "1,3,3,8", "1,2,3,3,8"]),
        ("named_struct('n', count(*), 'm', max(v)).m", [3, 8, 8]),
        ("count(v, k)", [2, 4, 5]),
        ("hll_sketch_estimate(hll_sketch_agg(v))", [2, 3, 4]),
        ("bitmap_count(bitmap_construct_agg(bitmap_bit_position(v)))", [2, 3, 4]),
    ],
)
def test_written_as_text(left: Feed, watch: Watch, text: str, expected: list[Any]) -> None:
    assert outputs(left, watch, text) == expected


def test_functions_that_keep_little_beside_one_that_keeps_rows(left: Feed, watch: Watch) -> None:
    functions = [F.hll_sketch_estimate(F.hll_sketch_agg("v")), F.percentile_approx("v", 0.5), F.corr("v", "v")]
    query = watch(left.stream.groupBy("k").agg(*functions), "update")
    left.put(*BATCHES[0])
    query.step()
    left.put(*BATCHES[1])
    assert query.step() == [("a", 3, 3, 1.0)]


def test_the_estimate_of_many_values(left: Feed, watch: Watch) -> None:
    estimates = [F.approx_count_distinct("v", error).alias(str(error)) for error in (0.05, 0.2, 0.01)]
    query = watch(left.stream.agg(*estimates), "complete")
    for start in (0, 500, 700):
        left.put(*[(1, "a", start + i) for i in range(1500)])
        query.step()
    assert query.step() == [(2248, 2254, 2220)]


def test_columns_are_named_as_in_spark(left: Feed, watch: Watch) -> None:
    functions = [F.approx_count_distinct("v", 0.1), F.percentile_approx("v", 0.5), F.expr("approx_percentile(v, 0.5)")]
    names = left.stream.groupBy("k").agg(*functions, F.expr("try_avg(v)"), F.try_avg("v") + 1).columns
    assert names == [
        "k", "approx_count_distinct(v)", "percentile_approx(v, 0.5, 10000)", "approx_percentile(v, 0.5, 10000)",
        "try_avg(v)", "(try_avg(v) + 1)",
    ]  # fmt: skip


def test_lists_and_percentiles_come_out_with_their_window(left: Feed, watch: Watch) -> None:
    marked = left.stream.withWatermark("ts", "0 minutes").groupBy(F.window("ts", "10 minutes"), "k")
    query = watch(marked.agg(F.collect_list("v"), F.median("v"), F.approx_count_distinct("v")))
    left.put((1, "a", 5), (2, "a", 1))
    query.step()
    left.put((3, "a", 5), (11, "a", 7))
    assert query.step() == [((0, 10), "a", (5, 1, 5), 5.0, 2)]


def test_lists_and_percentiles_of_sessions_that_become_one(left: Feed, watch: Watch) -> None:
    marked = left.stream.withWatermark("ts", "10 minutes").groupBy(F.session_window("ts", "5 minutes"), "k")
    query = watch(marked.agg(F.collect_list("v"), F.median("v"), F.approx_count_distinct("v"), F.max_by("v", "ts")))
    left.put((1, "a", 5), (9, "a", 2))
    query.step()
    left.put((5, "a", 5), (30, "b", 7))
    assert query.step() == [((1, 14), "a", (5, 5, 2), 5.0, 2, 2)]


def test_rollup_and_cube(left: Feed, watch: Watch) -> None:
    rollup = watch(left.stream.rollup("k").agg(F.sum("v"), F.grouping("k"), F.grouping_id()), "complete")
    cube = watch(left.stream.cube("k", MINUTE.alias("m")).agg(F.count("*"), F.grouping_id()), "complete")
    sets = watch(left.stream.groupingSets([["k"], []], "k").agg(F.collect_list("v")), "update")
    left.put((1, "a", 1), (2, None, 2))
    for query in (rollup, cube, sets):
        query.step()
    left.put((1, "a", 5))
    assert rollup.step() == [("a", 6, 0, 0), (None, 2, 0, 0), (None, 8, 1, 1)]
    expected = [("a", 1, 2, 0), ("a", None, 2, 1), (None, 1, 2, 2), (None, 2, 1, 0), (None, 2, 1, 2)]
    assert cube.step() == sorted([*expected, (None, None, 1, 1), (None, None, 3, 3)], key=repr)
    assert sets.step() == [("a", (1, 5)), (None, (1, 2, 5))]


def test_grouping_sets_without_the_window_have_the_rows_of_all_windows(left: Feed, watch: Watch) -> None:
    sliding = F.window("ts", "10 minutes", "5 minutes")
    query = watch(left.stream.rollup(sliding).agg(F.count("*"), F.collect_set("k")), "update")
    left.put((7, "a", 1), (None, "b", 2))  # what is in no window is nowhere
    assert query.step() == [((0, 10), 1, ("a",)), ((5, 15), 1, ("a",)), (None, 2, ("a",))]


def test_a_column_and_casts_of_it_side_by_side(left: Feed, watch: Watch) -> None:
    casts = [F.sum(V.cast("decimal(8,2)")), F.sum(F.expr("double(v)")), F.expr("sum(CAST(v AS DOUBLE) + 1) AS more")]
    frame = left.stream.groupBy("k").agg(
        F.sum("v"), *casts, F.max("v"), F.max(V.cast("string")), F.sum(V) + F.sum(V + 1)
    )
    named = left.stream.groupBy("k").agg(F.sum("v"), F.sum(V.cast("double")))
    assert named.columns == ["k", "sum(v)", "sum(CAST(v AS DOUBLE))"]
    query = watch(frame, "update")
    left.put((1, "a", 9), (2, "a", 10))
    query.step()
    left.put((1, "a", 1))
    assert query.step() == [("a", 20, Decimal("20.00"), 20.0, 23.0, 10, "9", 43)]


def test_lists_of_a_column_and_casts_of_it(left: Feed, watch: Watch) -> None:
    marked = left.stream.withWatermark("ts", "0 minutes").groupBy(F.window("ts", "5 minutes"))
    query = watch(
        marked.agg(F.collect_list("v"), F.collect_list(V.cast("string")), F.histogram_numeric(V, F.lit(5)).isNull())
    )
    left.put((1, "a", 9))
    query.step()
    left.put((20, "a", 1))
    assert query.step() == [((0, 5), (9,), ("9",), False)]


@pytest.mark.parametrize("text", ["count(DISTINCT v)", "sum(DISTINCT v)", "listagg(DISTINCT k)"])
def test_distinct_aggregates_are_refused(left: Feed, watch: Watch, text: str) -> None:
    with pytest.raises(AnalysisException, match="Distinct aggregations are not supported"):
        watch(left.stream.groupBy("k").agg(F.expr(text)), "update")


@pytest.mark.riacho_only
def test_what_riacho_refuses(left: Feed, watch: Watch) -> None:
    windows = left.stream.withWatermark("ts", "0 minutes").groupBy(F.window("ts", "10 minutes"))
    for grouped, message in [
        (windows.agg(F.expr("max_by(k, v, 2)")), r"max_by\(x, y, k\)"),
        (windows.pivot("v", [1, 2]).agg(F.collect_list("k")), "streaming pivot"),
    ]:
        with pytest.raises(PySparkException, match=message):
            watch(grouped).step()


@pytest.mark.parametrize("batches", [[[3], [1]], [[-4], [-1]], [[2, 2]], [[-3, -2]]])
def test_a_sum_that_is_no_bigint(left: Feed, watch: Watch, batches: list[list[int]]) -> None:
    """Whether it stops fitting within a batch or between two."""
    large = (V.cast("long") * 2**61).alias("large")
    query = watch(left.stream.select("k", large).groupBy("k").agg(F.sum("large")), "update")
    *fitting, last = batches
    for batch in fitting:
        left.put(*((minute, "a", value) for minute, value in enumerate(batch)))
        assert query.step() == [("a", sum(value * 2**61 for value in batch))]
    left.put(*((minute, "a", value) for minute, value in enumerate(last)))
    with pytest.raises(PySparkException, match="ARITHMETIC_OVERFLOW"):
        query.step()


def test_what_is_kept_survives_a_restart(left: Feed, watch: Watch, tmp_path: Path) -> None:
    functions = [F.collect_list("v"), F.median("v"), F.approx_count_distinct("v"), F.skewness("v"), F.max_by("ts", "v")]
    frame = left.stream.groupBy("k").agg(*functions)
    left.put((1, "a", 1), (2, "a", 3))
    first = watch(frame, "complete", tmp_path / "c")
    first.step()
    first.query.stop()
    left.put((3, "a", 2))
    assert watch(frame, "complete", tmp_path / "c").step() == [("a", (1, 3, 2), 2.0, 3, 0.0, 2)]
