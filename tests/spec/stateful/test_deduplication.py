"""dropDuplicates, dropDuplicatesWithinWatermark and distinct."""

from __future__ import annotations

from pyspark.sql import functions as F

from tests.spec.stateful.conftest import Watch
from tests.spec.stateful.support import Feed


def test_a_key_comes_out_once(left: Feed, watch: Watch) -> None:
    query = watch(left.stream.dropDuplicates(["k"]).select("k"))
    left.put((1, "a", 1), (2, "a", 2), (3, None, 3))
    assert query.step() == [("a",), (None,)]
    left.put((4, "a", 1), (5, "b", 1), (6, None, 1))
    assert query.step() == [("b",)]
    assert query.state()["total"] == 3


def test_distinct_looks_at_all_columns(left: Feed, watch: Watch) -> None:
    query = watch(left.stream.distinct())
    left.put((1, "a", 1), (1, "a", 1), (1, "a", 2))
    assert query.step() == [(1, "a", 1), (1, "a", 2)]
    left.put((1, "a", 2))
    assert query.step() == []


def test_keys_with_event_time_are_forgotten_behind_the_watermark(left: Feed, watch: Watch) -> None:
    query = watch(left.stream.withWatermark("ts", "5 minutes").dropDuplicates(["k", "ts"]))
    left.put((1, "a", 1), (20, "a", 2))
    query.step()
    left.put((1, "a", 3), (20, "a", 4), (21, "a", 5))
    assert query.step() == [(21, "a", 5)]
    assert query.state() == {"total": 2, "updated": 1, "late": 1}


def test_late_rows_are_dropped_even_if_event_time_is_no_key(left: Feed, watch: Watch) -> None:
    query = watch(left.stream.withWatermark("ts", "5 minutes").dropDuplicates(["k"]))
    left.put((30, "a", 1))
    query.step()
    left.put((1, "b", 1))
    assert query.step() == []


def test_within_watermark_forgets_a_key_after_the_delay(left: Feed, watch: Watch) -> None:
    marked = left.stream.withWatermark("ts", "10 minutes")
    query = watch(marked.dropDuplicatesWithinWatermark(["k"]).select("k", F.col("v")))
    left.put((0, "a", 1), (9, "a", 2))
    assert query.step() == [("a", 1)]
    left.put((20, "b", 3))  # the watermark reaches 10: a is forgotten
    assert query.step() == [("b", 3)]
    left.put((11, "a", 4))
    assert query.step() == [("a", 4)]


def test_update_mode_is_as_append(left: Feed, watch: Watch) -> None:
    query = watch(left.stream.dropDuplicates(["k"]).select("k"), "update")
    left.put((1, "a", 1))
    assert query.step() == [("a",)]
    left.put((1, "a", 1))
    assert query.step() == []
