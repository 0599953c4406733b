"""Rows that come too late, kept in a table of their own: an option of riacho's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyspark.errors import PySparkException
from pyspark.sql import Row, SparkSession
from pyspark.sql import functions as F

from tests.spec.stateful.conftest import Watch
from tests.spec.stateful.support import Feed, Watched, plain

pytestmark = pytest.mark.riacho_only

LATE_ROWS = "riacho.watermark.lateRows"
LateRows = Callable[[], list[Any]]


@pytest.fixture
def table(spark: SparkSession, database: str) -> str:
    """The table of late rows of the session's queries."""
    name = f"{database}.late"
    spark.conf.set(LATE_ROWS, name)
    return name


def notes(spark: SparkSession, table: str) -> list[Row]:
    return [row._late for row in spark.table(table).orderBy("_late.batch_id", "_late.event_time").collect()]


def kept(spark: SparkSession, table: str, *columns: str) -> list[Any]:
    """The late rows with the time that made them late and the watermark then."""
    found = spark.table(table).select(*columns, "_late.event_time", "_late.watermark")
    return sorted((plain(row) for row in found.collect()), key=repr)


def late_in_progress(query: Watched) -> int:
    progress = [p for p in query.query.recentProgress if p.stateOperators]
    return sum(operator.numRowsDroppedByWatermark for p in progress for operator in p.stateOperators)


def test_a_row_that_misses_its_window_is_kept(spark: SparkSession, left: Feed, watch: Watch, table: str) -> None:
    query = watch(left.stream.withWatermark("ts", "0 minutes").groupBy(F.window("ts", "10 minutes"), "k").count())
    left.put((5, "a", 1), (30, "a", 2))
    query.step()
    left.put((6, "a", 3), (7, "a", 4), (8, "b", 5), (31, "a", 6), (None, "a", 7))
    query.step()
    assert kept(spark, table, "ts", "k", "v") == [(6, "a", 3, 10, 30), (7, "a", 4, 10, 30), (8, "b", 5, 10, 30)]
    assert late_in_progress(query) == 2, "Spark counts groups"
    note = notes(spark, table)[0]
    assert (note.query_id, note.query_name) == (query.query.id, query.query.name)
    assert (note.batch_id, note.operator, note.operator_name, note.side) == (2, 0, "stateStoreSave", None)


def test_a_row_is_kept_once_for_each_window_that_it_misses(
    spark: SparkSession, left: Feed, watch: Watch, table: str
) -> None:
    windows = F.window("ts", "10 minutes", "5 minutes")
    query = watch(left.stream.withWatermark("ts", "0 minutes").groupBy(windows).agg(F.collect_list("v").alias("vs")))
    left.put((12, "a", 1))
    query.step()
    left.put((7, "a", 2), (1, "a", 3), (13, "a", 4))
    query.step()
    assert kept(spark, table, "v") == [(2, 10, 12), (3, 10, 12), (3, 5, 12)]
    left.put((60, "a", 5))
    assert ((5, 15), (1, 2, 4)) in [(window, tuple(sorted(vs))) for window, vs in query.step()]


def test_sessions(spark: SparkSession, left: Feed, watch: Watch, table: str) -> None:
    query = watch(
        left.stream.withWatermark("ts", "0 minutes").groupBy(F.session_window("ts", "5 minutes"), "k").count()
    )
    left.put((30, "a", 1))
    query.step()
    left.put((10, "a", 2), (25, "b", 3), (26, "b", 4), (None, "b", 5))
    query.step()
    assert kept(spark, table, "ts", "v") == [(10, 2, 15, 30), (25, 3, 30, 30)]
    assert late_in_progress(query) == 2


@pytest.mark.parametrize("within", [False, True])
def test_deduplication(spark: SparkSession, left: Feed, watch: Watch, table: str, within: bool) -> None:
    stream = left.stream.withWatermark("ts", "5 minutes")
    query = watch(stream.dropDuplicatesWithinWatermark(["k"]) if within else stream.dropDuplicates(["ts", "k"]))
    left.put((30, "a", 1))
    query.step()
    left.put((25, "b", 2), (26, "c", 3), (24, "d", 4))
    query.step()
    assert kept(spark, table, "ts", "k", "v") == [(24, "d", 4, 24, 25), (25, "b", 2, 25, 25)]


def test_both_sides_of_a_join(spark: SparkSession, left: Feed, right: Feed, watch: Watch, table: str) -> None:
    one, other = left.stream.withWatermark("ts", "0 minutes"), right.stream.withWatermark("ts", "0 minutes")
    query = watch(one.join(other.withColumnRenamed("v", "u"), ["k", "ts"]))
    left.put((30, "a", 1))
    right.put((30, "a", 1))
    query.step()
    left.put((10, "b", 2))
    right.put((20, "c", 3), (40, "c", 4))
    query.step()
    assert kept(spark, table, "k", "v", "u") == [("b", 2, None, 10, 30), ("c", None, 3, 20, 30)]
    assert sorted(note.side for note in notes(spark, table)) == ["left", "right"]
    assert late_in_progress(query) == 2


def test_operators_of_a_chain_share_the_table(spark: SparkSession, left: Feed, watch: Watch, table: str) -> None:
    deduplicated = left.stream.withWatermark("ts", "0 minutes").dropDuplicates(["ts", "k"])
    minutes = deduplicated.groupBy(F.window("ts", "1 minute"), "k").agg(F.sum("v").alias("total"))
    query = watch(minutes.groupBy(F.window("window", "10 minutes")).agg(F.sum("total").alias("s")))
    left.put((30, "a", 1))
    query.step()
    left.put((5, "b", 7), (30, "c", 8))
    query.step()
    assert kept(spark, table, "k", "v") == [("b", 7, 5, 30), ("c", 8, 30, 30)]
    assert [note.operator for note in notes(spark, table)] == [2, 2]
    assert set(spark.table(table).columns) == {"_late", "ts", "k", "v", "window", "total"}


def test_a_name_that_a_join_gives_twice_is_numbered(
    spark: SparkSession, left: Feed, right: Feed, watch: Watch, table: str
) -> None:
    one, other = left.stream.withWatermark("ts", "0 minutes"), right.stream.drop("ts")
    joined = one.alias("l").join(other.alias("r"), F.expr("l.k = r.k"))
    query = watch(joined.groupBy(F.window("ts", "10 minutes")).agg(F.sum("l.v").alias("x"), F.sum("r.v").alias("y")))
    left.put((5, "a", 1), (30, "a", 1))
    right.put((0, "a", 5))
    query.step()
    left.put((40, "z", 1))
    query.step()
    right.put((0, "a", 6))
    query.step()
    assert (5, "a", 1, "a", 6, 10, 40) in kept(spark, table, "ts", "k", "v", "k_2", "v_2")


def test_a_path_will_do_and_the_table_is_there_from_the_start(
    spark: SparkSession, left: Feed, watch: Watch, tmp_path: Path
) -> None:
    spark.conf.set(LATE_ROWS, str(tmp_path / "late"))
    query = watch(left.stream.withWatermark("ts", "0 minutes").dropDuplicates(["ts"]))
    left.put((30, "a", 1))
    query.step()
    late = spark.read.format("delta").load(str(tmp_path / "late"))
    assert late.columns == ["ts", "k", "v", "_late"]
    assert late.count() == 0


def test_a_table_takes_the_rows_of_several_queries_and_grows_with_them(
    spark: SparkSession, left: Feed, watch: Watch, table: str
) -> None:
    stream = left.stream.withWatermark("ts", "0 minutes")
    first, second = (
        watch(stream.dropDuplicates(["ts"])),
        watch(stream.withColumn("w", F.col("v") * 2).dropDuplicates(["ts"])),
    )
    for events in ((30, "a", 1), (10, "b", 2)):
        left.put(events)
        first.step()
        second.step()
    assert kept(spark, table, "k", "v", "w") == [("b", 2, 4, 10, 30), ("b", 2, None, 10, 30)]
    assert {note.query_name for note in notes(spark, table)} == {first.query.name, second.query.name}


def test_a_restart_goes_on(spark: SparkSession, left: Feed, watch: Watch, table: str, tmp_path: Path) -> None:
    frame = left.stream.withWatermark("ts", "0 minutes").dropDuplicates(["ts"])
    for events in ((30, "a", 1), (10, "b", 2), (11, "c", 3)):
        left.put(events)
        query = frame.writeStream.format("noop").option("checkpointLocation", str(tmp_path / "ck")).start()
        query.processAllAvailable()
        query.stop()
    assert kept(spark, table, "k") == [("b", 10, 30), ("c", 11, 30)]


def test_columns_of_one_name_and_two_types_are_refused(
    spark: SparkSession, left: Feed, right: Feed, watch: Watch, table: str
) -> None:
    one = left.stream.withWatermark("ts", "0 minutes")
    other = right.stream.withWatermark("ts", "0 minutes").withColumn("v", F.col("v").cast("string"))
    query = watch(one.join(other, ["k", "ts"]).select("k"))
    with pytest.raises(PySparkException, match=r"Failed to merge fields 'v' and 'v'.*INT.*STRING.*Rename one"):
        query.step()


def test_a_table_of_another_format_is_refused(spark: SparkSession, left: Feed, watch: Watch, database: str) -> None:
    spark.sql(f"CREATE TABLE {database}.p (k string) USING parquet")
    spark.conf.set(LATE_ROWS, f"{database}.p")
    with pytest.raises(PySparkException, match="is a parquet table. Create it USING delta"):
        watch(left.stream.withWatermark("ts", "0 minutes").dropDuplicates(["ts"]))
