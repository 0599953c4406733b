"""What is refused, with Spark's words. Every expectation here was seen on Apache Spark 4.2.1."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pyspark.sql import DataFrame
from pyspark.sql.connect import functions as F
from pyspark.sql.connect.window import Window

from riacho.errors import AnalysisError
from riacho.server.plan.checks import check_streaming
from tests.unit.server.plan.frames import columns, rate, relation, static

Make = Callable[[], DataFrame]

NO_WATERMARK = "This output mode is not supported for streaming aggregations without watermark on streaming"
NO_AGGREGATE = "This output mode is not supported for no streaming aggregations on streaming"
SESSION_WINDOW = "This output mode is not supported for session window streaming aggregations on streaming"
LATE_CHAIN = "Detected pattern of possible 'correctness' issue due to global watermark."
NOT_FORGOTTEN = (
    "Stream-stream {} join between two streaming DataFrame/Datasets is not supported without a watermark in the join "
    "keys, or a watermark on the nullable side and an appropriate range condition"
)
SORTING = "Sorting is not supported on streaming DataFrames/Datasets, unless it is on aggregated DataFrame/Dataset"
WITHIN = "dropDuplicatesWithinWatermark is not supported on streaming DataFrames/DataSets without watermark"
OFFSET = "Offset is not supported on streaming DataFrames/Datasets"
LIMIT = "Limits are not supported on streaming DataFrames/Datasets in Update output mode"


def marked() -> DataFrame:
    return rate().withWatermark("timestamp", "10 seconds")


def both(condition: str, how: str, left: Make = marked, right: Make = marked) -> DataFrame:
    return left().alias("a").join(right().alias("b"), F.expr(condition), how)


def refusal(frame: DataFrame, mode: str) -> str | None:
    """The message a start in this mode fails with."""
    try:
        check_streaming(relation(frame), mode, columns)
    except AnalysisError as error:
        return error.message
    return None


# name: the plan, and what append, update and complete say (None: nothing).
BY_MODE: dict[str, tuple[Make, str | None, str | None, str | None]] = {
    "stateless": (rate, None, None, NO_AGGREGATE),
    "aggregate": (lambda: rate().groupBy("value").count(), NO_WATERMARK, None, None),
    "aggregate, watermark not a key": (lambda: marked().groupBy("value").count(), NO_WATERMARK, None, None),
    "aggregate by event time": (lambda: marked().groupBy("timestamp").count(), None, None, None),
    "aggregate by window": (lambda: marked().groupBy(F.window("timestamp", "5 seconds")).count(), None, None, None),
    "aggregate by window as text": (
        lambda: marked().groupBy(F.expr("window(timestamp, '5 seconds')")).count(),
        None,
        None,
        None,
    ),
    "aggregate by window made below": (
        lambda: marked().select(F.window("timestamp", "5 seconds").alias("w"), "value").groupBy("w").count(),
        None,
        None,
        None,
    ),
    "aggregate by a field of a window": (
        lambda: marked().select(F.window("timestamp", "5 seconds").alias("w"), "value").groupBy("w.start").count(),
        NO_WATERMARK,
        None,
        None,
    ),
    "aggregate by renamed event time": (
        lambda: marked().withColumnRenamed("timestamp", "t").groupBy("t").count(),
        None,
        None,
        None,
    ),
    "aggregate by cast event time": (
        lambda: marked().groupBy(F.col("timestamp").cast("date")).count(),
        NO_WATERMARK,
        None,
        None,
    ),
    "aggregate of all": (lambda: rate().agg(F.count("*")), NO_WATERMARK, None, None),
    "session window": (
        lambda: marked().groupBy(F.session_window("timestamp", "5 seconds"), "value").count(),
        None,
        SESSION_WINDOW,
        None,
    ),
    "distinct": (lambda: rate().distinct(), None, None, NO_AGGREGATE),
    "dropDuplicates": (lambda: rate().dropDuplicates(["value"]), None, None, NO_AGGREGATE),
    "dropDuplicatesWithinWatermark": (
        lambda: marked().dropDuplicatesWithinWatermark(["value"]),
        None,
        None,
        NO_AGGREGATE,
    ),
    "dropDuplicatesWithinWatermark without one": (
        lambda: rate().dropDuplicatesWithinWatermark(["value"]),
        WITHIN,
        WITHIN,
        NO_AGGREGATE,
    ),
    "limit": (lambda: rate().limit(3), None, LIMIT, NO_AGGREGATE),
    "limit of an aggregate": (lambda: rate().groupBy("value").count().limit(3), NO_WATERMARK, LIMIT, None),
    "offset": (lambda: rate().offset(3), OFFSET, OFFSET, NO_AGGREGATE),
    "sort": (lambda: rate().orderBy("value"), SORTING, SORTING, NO_AGGREGATE),
    "sort of an aggregate": (lambda: rate().groupBy("value").count().orderBy("value"), NO_WATERMARK, SORTING, None),
    "sort within partitions": (lambda: rate().sortWithinPartitions("value"), SORTING, SORTING, NO_AGGREGATE),
    "aggregate of an aggregate": (
        lambda: (
            marked()
            .groupBy(F.window("timestamp", "5 seconds"))
            .count()
            .groupBy(F.window(F.window_time("window"), "10 seconds"))
            .agg(F.sum("count"))
        ),
        None,
        LATE_CHAIN,
        LATE_CHAIN,
    ),
    "aggregate of distinct rows by time": (
        lambda: marked().dropDuplicates(["timestamp"]).groupBy(F.window("timestamp", "5 seconds")).count(),
        None,
        None,
        None,
    ),
    "distinct rows of an aggregate": (
        lambda: marked().groupBy(F.window("timestamp", "5 seconds"), "value").count().dropDuplicates(["value"]),
        None,
        None,
        None,
    ),
    "distinct rows by time of an aggregate": (
        lambda: marked().groupBy(F.window("timestamp", "5 seconds"), "value").count().dropDuplicates(["window"]),
        None,
        LATE_CHAIN,
        LATE_CHAIN,
    ),
    "inner join": (
        lambda: both("a.value = b.value", "inner", rate, rate),
        None,
        None,
        NO_AGGREGATE,
    ),
    "left join, nothing forgotten": (
        lambda: both("a.value = b.value", "left", rate, rate),
        NOT_FORGOTTEN.format("LeftOuter"),
        (
            "LeftOuter join between two streaming DataFrames/Datasets is not supported in Update output mode, only in "
            "Append output mode"
        ),
        NO_AGGREGATE,
    ),
    "semi join, nothing forgotten": (
        lambda: both("a.value = b.value", "left_semi", rate, rate),
        NOT_FORGOTTEN.format("LeftSemi"),
        NOT_FORGOTTEN.format("LeftSemi"),
        NO_AGGREGATE,
    ),
    "aggregate of a join": (
        lambda: both("a.value = b.value", "inner").groupBy(F.window("a.timestamp", "5 seconds")).count(),
        None,
        None,
        (
            "Inner join between two streaming DataFrames/Datasets is not supported in Complete output mode, only in "
            "Append and Update output modes"
        ),
    ),
}


@pytest.mark.parametrize("name", BY_MODE)
def test_output_modes(name: str) -> None:
    make, *expected = BY_MODE[name]
    for mode, text in zip(("append", "update", "complete"), expected, strict=True):
        message = refusal(make(), mode)
        if text is None:
            assert message is None, mode
        else:
            assert message is not None, mode
            assert text in message, mode


LOWER = "a.value = b.value and a.timestamp >= b.timestamp"
UPPER = "a.value = b.value and a.timestamp <= b.timestamp"
RANGE = "a.value = b.value and a.timestamp between b.timestamp and b.timestamp + interval 1 minute"
EVENT_TIME_KEY = "a.value = b.value and a.timestamp = b.timestamp"

# condition, sides with a watermark, then the join types that are allowed among left, right, full and semi.
FORGETTING = [
    (EVENT_TIME_KEY, marked, marked, {"left", "right", "full", "left_semi"}),
    (RANGE, marked, marked, {"left", "right", "full", "left_semi"}),
    (LOWER, marked, marked, {"left", "full", "left_semi"}),
    (UPPER, marked, marked, {"right", "full"}),
    ("a.value = b.value", marked, marked, set()),
    (LOWER, marked, rate, set()),
    (LOWER, rate, marked, {"left", "full", "left_semi"}),
    (UPPER, rate, marked, set()),
    ("a.value < b.value", marked, marked, set()),
]
TYPES = {"left": "LeftOuter", "right": "RightOuter", "full": "FullOuter", "left_semi": "LeftSemi"}


@pytest.mark.parametrize(("condition", "left", "right", "allowed"), FORGETTING)
@pytest.mark.parametrize("how", TYPES)
def test_joins_that_hand_out_rows_without_a_match_must_forget(
    condition: str, left: Make, right: Make, allowed: set[str], how: str
) -> None:
    message = refusal(both(condition, how, left, right), "append")
    if how in allowed:
        assert message is None
    else:
        assert message is not None
        assert message.startswith(NOT_FORGOTTEN.format(TYPES[how]) + ";\n~Join ")


def test_a_join_by_names_without_a_bound() -> None:
    message = refusal(marked().join(marked(), "value", "left"), "append")
    assert message is not None
    assert message.startswith(NOT_FORGOTTEN.format("LeftOuter"))


# how, then what a stream on the left and on the right of a table says.
WITH_TABLE = [
    ("inner", None, None),
    (
        "left",
        None,
        (
            "LeftOuter join with a streaming DataFrame/Dataset on the right and a static DataFrame/Dataset on the "
            "left is not supported"
        ),
    ),
    (
        "right",
        (
            "RightOuter join with a streaming DataFrame/Dataset on the left and a static DataFrame/DataSet on the "
            "right not supported"
        ),
        None,
    ),
    (
        "full",
        (
            "FullOuter joins with streaming DataFrames/Datasets on the left and a static DataFrame/Dataset on the "
            "right is not supported"
        ),
        (
            "FullOuter joins with streaming DataFrames/Datasets on the right and a static DataFrame/Dataset on the "
            "left is not supported"
        ),
    ),
    (
        "left_semi",
        None,
        (
            "LeftSemi join with a streaming DataFrame/Dataset on the right and a static DataFrame/Dataset on the left "
            "is not supported"
        ),
    ),
    ("left_anti", None, "LeftAnti joins with a streaming DataFrame/Dataset on the right are not supported"),
]


@pytest.mark.parametrize(("how", "stream_left", "stream_right"), WITH_TABLE)
def test_joins_with_a_table(how: str, stream_left: str | None, stream_right: str | None) -> None:
    for left, right, expected in ((rate, static, stream_left), (static, rate, stream_right)):
        message = refusal(both("a.value = b.value", how, left, right), "append")
        assert (message is None) == (expected is None)
        assert message is None or expected is None or message.startswith(expected + ";\n")


def test_an_anti_join_of_streams_is_refused_with_any_condition() -> None:
    message = refusal(both(RANGE, "left_anti"), "append")
    assert message is not None
    assert message.startswith("LeftAnti joins with a streaming DataFrame/Dataset on the right are not supported")


REFUSED: dict[str, tuple[Make, str, str]] = {
    "union with a table": (
        lambda: rate().union(static()),
        "append",
        "Union between streaming and batch DataFrames/Datasets is not supported",
    ),
    "intersect": (lambda: rate().intersect(rate()), "append", "Intersect of streaming DataFrames/Datasets is not"),
    "intersect with a table": (lambda: rate().intersect(static()), "append", "Intersect of streaming DataFrames"),
    "except on the right": (
        lambda: static().subtract(rate()),
        "append",
        "Except on a streaming DataFrame/Dataset on the right is not supported",
    ),
    "sample": (lambda: rate().sample(0.5, 1), "append", "Sampling is not supported on streaming DataFrames/Datasets"),
    "row numbers": (
        lambda: rate().withColumn("n", F.monotonically_increasing_id()),
        "append",
        "Expression(s): monotonically_increasing_id() is not supported with streaming DataFrames/Datasets",
    ),
    "count of distinct values": (
        lambda: rate().groupBy("value").agg(F.count_distinct("timestamp")),
        "update",
        (
            "Distinct aggregations are not supported on streaming DataFrames/Datasets. Consider using "
            "approx_count_distinct() instead."
        ),
    ),
    "count of distinct values as text": (
        lambda: rate().groupBy("value").agg(F.expr("count(DISTINCT timestamp) AS n")),
        "update",
        "Distinct aggregations are not supported on streaming DataFrames/Datasets.",
    ),
    "pivot": (lambda: rate().groupBy("value").pivot("value", [1, 2]).count(), "update", LATE_CHAIN),
    "pivot without values": (
        lambda: rate().groupBy("value").pivot("value").count(),
        "update",
        "pivot is not supported on a streaming DataFrames/Datasets",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    make, mode, text = REFUSED[name]
    message = refusal(make(), mode)
    assert message is not None
    assert message.startswith(text)


ALLOWED: dict[str, tuple[Make, str]] = {
    "except on the left": (lambda: rate().subtract(static()), "append"),
    "rollup": (lambda: rate().rollup("value").count(), "update"),
    "cube": (lambda: rate().cube("value").count(), "update"),
    "random numbers": (lambda: rate().withColumn("x", F.rand()), "append"),
    "two watermarks": (
        lambda: marked().withWatermark("timestamp", "2 second").groupBy("timestamp").count(),
        "append",
    ),
    "join by less than": (lambda: both("a.value < b.value", "inner"), "append"),
    "cross join": (lambda: rate().crossJoin(rate().toDF("x", "y")), "update"),
}


@pytest.mark.parametrize("name", ALLOWED)
def test_allowed(name: str) -> None:
    make, mode = ALLOWED[name]
    assert refusal(make(), mode) is None


def test_a_window_over_rows() -> None:
    numbered = rate().withColumn("n", F.row_number().over(Window.partitionBy("value").orderBy("timestamp")))
    message = refusal(numbered, "append")
    assert message == (
        "[NON_TIME_WINDOW_NOT_SUPPORTED_IN_STREAMING] Window function is not supported in ROW_NUMBER() (as column "
        "`n`) on streaming DataFrames/Datasets.\nStructured Streaming only supports time-window aggregation using the "
        "WINDOW function. (window specification: (PARTITION BY VALUE ORDER BY TIMESTAMP ASC NULLS FIRST ROWS BETWEEN "
        "UNBOUNDED PRECEDING AND CURRENT ROW)) SQLSTATE: 42KDE"
    )


def test_a_plan_without_a_stream() -> None:
    message = refusal(static(), "append")
    assert message == (
        "[WRITE_STREAM_NOT_ALLOWED] `writeStream` can be called only on streaming Dataset/DataFrame. SQLSTATE: 42601"
    )


def test_the_search_for_late_chains_can_be_switched_off() -> None:
    frame = rate().groupBy("value").pivot("value", [1, 2]).count()
    check_streaming(relation(frame), "update", columns, check_chains=False)
