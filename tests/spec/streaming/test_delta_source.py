"""A Delta table as a stream: its rows, then each commit; what is not an append must be asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pyspark.errors import PySparkException, StreamingQueryException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from tests.spec.support import batches, finish, ids, rows


@pytest.fixture
def table(spark: SparkSession, database: str) -> str:
    """A table of two versions: 1 and 2, then 3."""
    name = f"{database}.numbers"
    spark.sql(f"CREATE TABLE {name} (id BIGINT) USING delta TBLPROPERTIES (delta.enableChangeDataFeed = true)")
    append(spark, name, 1, 2)
    append(spark, name, 3)
    return name


def append(spark: SparkSession, table: str, *values: int) -> None:
    spark.createDataFrame([(v,) for v in values], "id BIGINT").coalesce(1).writeTo(table).append()


def stream(spark: SparkSession, table: str, **options: Any) -> DataFrame:
    return spark.readStream.options(**options).table(table)


def run(frame: DataFrame, checkpoint: Path | None = None, name: str = "seen") -> StreamingQuery:
    writer = frame.writeStream.format("memory").queryName(name)
    if checkpoint:
        writer = frame.writeStream.format("delta").option("checkpointLocation", str(checkpoint))
        return finish(writer.trigger(availableNow=True).start(f"{checkpoint}.out"))
    return finish(writer.trigger(availableNow=True).start())


def out(spark: SparkSession, checkpoint: Path) -> list[Any]:
    return ids(spark.read.format("delta").load(f"{checkpoint}.out"))


def test_what_is_there_comes_first(spark: SparkSession, table: str) -> None:
    run(stream(spark, table))
    assert ids(spark.table("seen")) == [1, 2, 3]


def test_a_table_can_be_read_by_its_path(spark: SparkSession, tmp_path: Path) -> None:
    spark.range(3).write.format("delta").save(str(tmp_path / "t"))
    run(spark.readStream.format("delta").load(str(tmp_path / "t")))
    assert ids(spark.table("seen")) == [0, 1, 2]


def test_then_each_commit(spark: SparkSession, table: str) -> None:
    query = stream(spark, table).writeStream.format("memory").queryName("seen").start()
    query.processAllAvailable()
    append(spark, table, 4)
    query.processAllAvailable()
    assert ids(spark.table("seen")) == [1, 2, 3, 4]


def test_a_second_run_reads_what_is_new(spark: SparkSession, table: str, tmp_path: Path) -> None:
    run(stream(spark, table), tmp_path / "c")
    append(spark, table, 4)
    assert batches(run(stream(spark, table), tmp_path / "c")) == [1]
    assert out(spark, tmp_path / "c") == [1, 2, 3, 4]


def test_the_offset_is_version_and_index(spark: SparkSession, table: str, tmp_path: Path) -> None:
    run(stream(spark, table), tmp_path / "c")
    append(spark, table, 4)
    run(stream(spark, table), tmp_path / "c")
    first, second = (
        json.loads((tmp_path / "c" / "offsets" / str(batch)).read_text().split("\n")[2]) for batch in range(2)
    )
    assert first.keys() == {"sourceVersion", "reservoirId", "reservoirVersion", "index", "isStartingVersion"}
    assert first["sourceVersion"] == 1
    assert first["reservoirId"] == second["reservoirId"]
    assert (first["reservoirVersion"], first["index"], first["isStartingVersion"]) == (3, -1, False)
    assert (second["reservoirVersion"], second["index"], second["isStartingVersion"]) == (4, -1, False)


def test_max_files_per_trigger(spark: SparkSession, table: str) -> None:
    append(spark, table, 4)
    assert batches(run(stream(spark, table, maxFilesPerTrigger=1))) == [2, 1, 1]


def test_starting_version(spark: SparkSession, table: str) -> None:
    run(stream(spark, table, startingVersion=2))
    assert ids(spark.table("seen")) == [3]


def test_starting_at_the_latest_version_skips_what_is_there(spark: SparkSession, table: str, tmp_path: Path) -> None:
    query = stream(spark, table, startingVersion="latest").writeStream.format("memory").queryName("seen").start()
    query.processAllAvailable()
    append(spark, table, 4)
    query.processAllAvailable()
    assert ids(spark.table("seen")) == [4]


def test_starting_timestamp(spark: SparkSession, table: str) -> None:
    run(stream(spark, table, startingTimestamp="2020-01-01"))
    assert ids(spark.table("seen")) == [1, 2, 3]


def test_only_one_start_may_be_given(spark: SparkSession, table: str) -> None:
    with pytest.raises(PySparkException, match="DELTA_STARTING_VERSION_AND_TIMESTAMP_BOTH_SET"):
        run(stream(spark, table, startingVersion=1, startingTimestamp="2020-01-01"))


def test_a_delete_stops_the_query(spark: SparkSession, table: str, tmp_path: Path) -> None:
    run(stream(spark, table), tmp_path / "c")
    spark.sql(f"DELETE FROM {table} WHERE id = 3")
    with pytest.raises(StreamingQueryException, match="DELTA_SOURCE_(IGNORE_DELETE|TABLE_IGNORE_CHANGES)"):
        run(stream(spark, table), tmp_path / "c")


def test_an_update_stops_the_query(spark: SparkSession, table: str, tmp_path: Path) -> None:
    run(stream(spark, table), tmp_path / "c")
    spark.sql(f"UPDATE {table} SET id = 30 WHERE id = 3")
    with pytest.raises(StreamingQueryException, match="DELTA_SOURCE_TABLE_IGNORE_CHANGES"):
        run(stream(spark, table), tmp_path / "c")


def test_ignore_deletes_lets_whole_files_go(spark: SparkSession, table: str, tmp_path: Path) -> None:
    run(stream(spark, table), tmp_path / "c")
    spark.sql(f"DELETE FROM {table}")
    append(spark, table, 4)
    run(stream(spark, table, ignoreDeletes=True), tmp_path / "c")
    assert out(spark, tmp_path / "c") == [1, 2, 3, 4]


def test_skip_change_commits_skips_deletes_and_updates(spark: SparkSession, table: str, tmp_path: Path) -> None:
    run(stream(spark, table), tmp_path / "c")
    spark.sql(f"UPDATE {table} SET id = 30 WHERE id = 3")
    spark.sql(f"DELETE FROM {table} WHERE id = 1")
    append(spark, table, 4)
    run(stream(spark, table, skipChangeCommits=True), tmp_path / "c")
    assert out(spark, tmp_path / "c") == [1, 2, 3, 4]


def test_the_change_feed_tells_what_happened_to_each_row(spark: SparkSession, table: str) -> None:
    spark.sql(f"UPDATE {table} SET id = 30 WHERE id = 3")
    spark.sql(f"DELETE FROM {table} WHERE id = 1")
    changes = stream(spark, table, readChangeFeed=True, startingVersion=1)
    assert changes.columns == ["id", "_change_type", "_commit_version", "_commit_timestamp"]
    run(changes.drop("_commit_timestamp"))
    assert rows(spark.table("seen")) == [
        (1, "delete", 4),
        (1, "insert", 1),
        (2, "insert", 1),
        (3, "insert", 2),
        (3, "update_preimage", 3),
        (30, "update_postimage", 3),
    ]


def test_the_change_feed_begins_with_what_is_there(spark: SparkSession, table: str) -> None:
    run(stream(spark, table, readChangeFeed=True).drop("_commit_timestamp"))
    assert rows(spark.table("seen")) == [(1, "insert", 2), (2, "insert", 2), (3, "insert", 2)]


def test_the_change_feed_must_have_been_kept(spark: SparkSession, database: str) -> None:
    spark.sql(f"CREATE TABLE {database}.plain (id BIGINT) USING delta")
    append(spark, f"{database}.plain", 1)
    with pytest.raises(PySparkException, match="DELTA_MISSING_CHANGE_DATA"):
        run(stream(spark, f"{database}.plain", readChangeFeed=True, startingVersion=0))


def test_a_table_that_was_made_anew_is_another_table(spark: SparkSession, tmp_path: Path, database: str) -> None:
    name = f"{database}.again"
    for first in (1, 2):
        spark.sql(f"DROP TABLE IF EXISTS {name}")
        spark.sql(f"CREATE TABLE {name} (id BIGINT) USING delta")
        append(spark, name, first)
        if first == 1:
            run(stream(spark, name), tmp_path / "c")
    with pytest.raises(StreamingQueryException, match="DIFFERENT_DELTA_TABLE_READ_BY_STREAMING_SOURCE"):
        run(stream(spark, name), tmp_path / "c")


def test_a_column_that_was_added_is_read_after_a_restart(spark: SparkSession, table: str, tmp_path: Path) -> None:
    run(stream(spark, table), tmp_path / "c")
    spark.sql(f"ALTER TABLE {table} ADD COLUMNS (name STRING)")
    spark.sql(f"INSERT INTO {table} VALUES (4, 'four')")
    frame = stream(spark, table)
    assert frame.columns == ["id", "name"]
    run(frame.select("id"), tmp_path / "c")
    assert out(spark, tmp_path / "c") == [1, 2, 3, 4]


def test_a_schema_may_not_be_given(spark: SparkSession, tmp_path: Path) -> None:
    spark.range(1).write.format("delta").save(str(tmp_path / "t"))
    with pytest.raises(PySparkException, match="(?i)delta.*schema"):
        run(spark.readStream.format("delta").schema("id BIGINT, x INT").load(str(tmp_path / "t")))


def test_a_table_that_does_not_exist_is_an_error(spark: SparkSession, database: str) -> None:
    with pytest.raises(PySparkException, match="TABLE_OR_VIEW_NOT_FOUND"):
        stream(spark, f"{database}.nowhere").columns  # noqa: B018


def test_a_table_written_by_a_stream_feeds_another(spark: SparkSession, table: str, tmp_path: Path) -> None:
    first = stream(spark, table).writeStream.format("delta").option("checkpointLocation", str(tmp_path / "a"))
    upstream = first.start(str(tmp_path / "middle"))
    upstream.processAllAvailable()
    middle = spark.readStream.format("delta").load(str(tmp_path / "middle"))
    downstream = middle.selectExpr("id * 10 AS id").writeStream.format("memory").queryName("seen").start()
    downstream.processAllAvailable()
    append(spark, table, 4)
    upstream.processAllAvailable()
    downstream.processAllAvailable()
    assert ids(spark.table("seen")) == [10, 20, 30, 40]
