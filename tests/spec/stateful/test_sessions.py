"""Session windows grow and merge."""

from __future__ import annotations

import pytest
from pyspark.errors import PySparkException
from pyspark.sql import functions as F

from tests.spec.stateful.conftest import Watch
from tests.spec.stateful.support import Feed


def test_a_row_between_two_sessions_makes_them_one(left: Feed, watch: Watch) -> None:
    sessions = left.stream.groupBy(F.session_window("ts", "5 minutes"), "k").agg(F.sum("v").alias("s"))
    query = watch(sessions, "complete")
    left.put((0, "a", 1), (8, "a", 2), (8, "b", 9))
    assert query.step() == [((0, 5), "a", 1), ((8, 13), "a", 2), ((8, 13), "b", 9)]
    left.put((4, "a", 4))
    assert query.step() == [((0, 13), "a", 7), ((8, 13), "b", 9)]


def test_sessions_that_touch_are_one(left: Feed, watch: Watch) -> None:
    query = watch(left.stream.groupBy(F.session_window("ts", "5 minutes"), "k").count(), "complete")
    left.put((0, "a", 1), (5, "a", 1), (11, "a", 1))
    assert query.step() == [((0, 10), "a", 2), ((11, 16), "a", 1)]


def test_complete_mode_keeps_sessions_and_drops_late_rows(left: Feed, watch: Watch) -> None:
    marked = left.stream.withWatermark("ts", "0 seconds")
    query = watch(marked.groupBy(F.session_window("ts", "5 minutes"), "k").count(), "complete")
    left.put((10, "a", 1))
    assert query.step() == [((10, 15), "a", 1)]
    left.put((20, "b", 1))
    assert query.step() == [((10, 15), "a", 1), ((20, 25), "b", 1)]
    left.put((4, "a", 1), (12, "a", 1))  # the sessions of these rows end at 9 and 17; what came before 10 is late
    assert query.step() == [((10, 17), "a", 2), ((20, 25), "b", 1)]


def test_append_gives_a_session_when_it_is_over(left: Feed, watch: Watch) -> None:
    marked = left.stream.withWatermark("ts", "10 minutes")
    query = watch(marked.groupBy("k", F.session_window("ts", "5 minutes").alias("w")).count())
    left.put((0, "a", 1))
    assert query.step() == []
    left.put((4, "a", 1), (18, "b", 1))  # the watermark goes to 8, the session to 9
    assert query.step() == []
    left.put((19, "b", 1))
    assert query.step() == [("a", (0, 9), 2)]


def test_the_gap_may_depend_on_the_row(left: Feed, watch: Watch) -> None:
    gap = F.when(F.col("k") == "long", "10 minutes").otherwise("2 minutes")
    query = watch(left.stream.groupBy(F.session_window("ts", gap), "k").count(), "complete")
    left.put((0, "long", 1), (9, "long", 1), (0, "short", 1), (9, "short", 1))
    assert query.step() == [((0, 19), "long", 2), ((0, 2), "short", 1), ((9, 11), "short", 1)]


def test_rows_of_a_session_are_kept_where_functions_need_them(left: Feed, watch: Watch) -> None:
    lists = F.sort_array(F.collect_list("v"))
    query = watch(left.stream.groupBy(F.session_window("ts", "5 minutes"), "k").agg(lists), "complete")
    left.put((0, "a", 1), (9, "a", 2))
    query.step()
    left.put((5, "a", 3))
    assert query.step() == [((0, 14), "a", (1, 2, 3))]


@pytest.mark.riacho_only
def test_a_gap_that_is_text_in_a_column_is_refused(left: Feed, watch: Watch) -> None:
    marked = left.stream.withWatermark("ts", "1 minute")
    with pytest.raises(PySparkException, match="does not read the gap of a session from text in a column"):
        watch(marked.groupBy(F.session_window("ts", F.col("k")), "k").count()).step()


def test_a_gap_is_text(left: Feed, watch: Watch) -> None:
    with pytest.raises(PySparkException, match="Gap duration expression used in session window must be Calendar"):
        watch(left.stream.groupBy(F.session_window("ts", F.expr("INTERVAL 5 MINUTES")), "k").count(), "complete").step()
