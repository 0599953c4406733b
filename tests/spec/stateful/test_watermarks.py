"""How watermarks move, and what they are made of."""

from __future__ import annotations

import pytest
from pyspark.errors import AnalysisException, IllegalArgumentException
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from tests.spec.stateful.conftest import Watch
from tests.spec.stateful.support import Feed, Watched


def watermark(query: Watched) -> str:
    """The watermark of the last batch."""
    assert query.query.lastProgress is not None
    return query.query.lastProgress.eventTime["watermark"]


def test_a_watermark_trails_the_latest_event_and_never_goes_back(left: Feed, watch: Watch) -> None:
    query = watch(left.stream.withWatermark("ts", "5 minutes").dropDuplicates(["ts"]))
    left.put((30, "a", 1), (10, "a", 1))
    query.step()
    assert watermark(query) == "2024-01-01T00:25:00.000Z"
    left.put((26, "a", 1))
    query.step()
    assert watermark(query) == "2024-01-01T00:25:00.000Z"


def test_rows_taken_out_by_a_filter_do_not_move_it(left: Feed, watch: Watch) -> None:
    query = watch(left.stream.withWatermark("ts", "0 minutes").where("v > 0").dropDuplicates(["ts"]))
    left.put((10, "a", 1), (50, "a", 0))
    query.step()
    assert watermark(query) == "2024-01-01T00:10:00.000Z"


@pytest.mark.parametrize(("policy", "expected"), [("min", "00:10"), ("max", "00:40")])
def test_several_watermarks_make_one(
    spark: SparkSession, left: Feed, right: Feed, watch: Watch, policy: str, expected: str
) -> None:
    spark.conf.set("spark.sql.streaming.multipleWatermarkPolicy", policy)
    one, other = left.stream.withWatermark("ts", "0 minutes"), right.stream.withWatermark("ts", "10 minutes")
    query = watch(one.union(other).groupBy(F.window("ts", "5 minutes")).count())
    left.put((10, "a", 1))
    right.put((50, "a", 1))
    query.step()
    assert watermark(query) == f"2024-01-01T{expected}:00.000Z"


def test_a_silent_input_holds_the_watermark_back(left: Feed, right: Feed, watch: Watch) -> None:
    one, other = left.stream.withWatermark("ts", "0 minutes"), right.stream.withWatermark("ts", "0 minutes")
    query = watch(one.union(other).groupBy(F.window("ts", "5 minutes")).count())
    left.put((10, "a", 1))
    assert query.step() == []
    assert watermark(query) == "1970-01-01T00:00:00.000Z"


def test_a_delay_that_is_none_is_refused_when_the_plan_is_looked_at(left: Feed, watch: Watch) -> None:
    negative, soon = (left.stream.withWatermark("ts", delay) for delay in ("1 minute -2 minutes", "soon"))
    for look in (lambda frame: frame.schema, lambda frame: watch(frame.dropDuplicates(["ts"]))):
        with pytest.raises(IllegalArgumentException, match=r"threshold \(1 minute -2 minutes\) should not be negative"):
            look(negative)
        with pytest.raises(AnalysisException, match="Unable to parse 'soon'"):
            look(soon)


@pytest.mark.riacho_only
def test_a_clock_that_runs_ahead_closes_nothing_if_there_is_a_bound(
    spark: SparkSession, left: Feed, watch: Watch
) -> None:
    spark.conf.set("riacho.watermark.maxFuture", "1 hour")
    query = watch(left.stream.withWatermark("ts", "0 minutes").dropDuplicates(["ts"]))
    century = 100 * 365 * 24 * 60
    left.put((30, "a", 1), (century, "a", 1))
    query.step()
    assert watermark(query) == "2024-01-01T00:30:00.000Z"
