"""riacho and Apache Spark take turns on the same Delta tables: what one writes, the other reads and goes on with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

pytestmark = pytest.mark.timeout(300)

TYPES = (
    "id, CAST(id AS INT) i, CAST(id AS SMALLINT) s, CAST(id AS TINYINT) t, CAST(id AS DOUBLE) / 3 d, "
    "CAST(id AS DECIMAL(10,2)) m, concat('ação ', id) x, id % 2 = 0 b, "
    "date_add(DATE'2024-02-28', CAST(id AS INT)) day, "
    "CAST('2024-01-01 12:00:00.123456' AS TIMESTAMP) at, CAST('2024-01-01 12:00:00' AS TIMESTAMP_NTZ) ntz, "
    "array(id, NULL) l, named_struct('a', id, 'b', array('z')) n, map('k', id) k, IF(id = 1, NULL, 'y') o"
)


@pytest.fixture
def riacho(sessions: dict[str, SparkSession]) -> SparkSession:
    return sessions["riacho"]


@pytest.fixture
def apache(sessions: dict[str, SparkSession]) -> SparkSession:
    return sessions["spark"]


def rows(frame: DataFrame) -> list[Any]:
    return sorted(frame.collect(), key=repr)


def load(spark: SparkSession, table: Path) -> DataFrame:
    return spark.read.format("delta").load(str(table))


def stream(spark: SparkSession, source: Path, table: Path, checkpoint: Path, **options: Any) -> None:
    """What has landed in a folder of Parquet files, into a table."""
    frame = spark.readStream.schema(spark.read.parquet(str(source)).schema).parquet(str(source))
    writer = frame.writeStream.format("delta").options(**options).option("checkpointLocation", str(checkpoint))
    query = writer.trigger(availableNow=True).start(str(table))
    assert query.awaitTermination(60)


def test_every_type_is_read_alike(riacho: SparkSession, apache: SparkSession, tmp_path: Path) -> None:
    riacho.range(1, 4).selectExpr(*_split(TYPES)).write.format("delta").save(str(tmp_path / "ours"))
    apache.range(1, 4).selectExpr(*_split(TYPES)).write.format("delta").save(str(tmp_path / "theirs"))
    expected = rows(load(apache, tmp_path / "theirs"))
    assert rows(load(apache, tmp_path / "ours")) == expected
    assert rows(load(riacho, tmp_path / "theirs")) == expected
    assert load(apache, tmp_path / "ours").schema == load(apache, tmp_path / "theirs").schema


def _split(text: str) -> list[str]:
    """SQL expressions at the commas outside brackets."""
    parts, depth = [""], 0
    for character in text:
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def test_both_append_to_one_partitioned_table(riacho: SparkSession, apache: SparkSession, tmp_path: Path) -> None:
    for spark, first in ((riacho, 0), (apache, 10), (riacho, 20)):
        frame = spark.range(first, first + 3).selectExpr(
            "id", "IF(id % 2 = 0, NULL, 'a/b c') k", "CAST('2024-01-01 12:00:00.5' AS TIMESTAMP) at"
        )
        frame.write.format("delta").mode("append").partitionBy("k", "at").save(str(tmp_path / "t"))
    both = [rows(load(spark, tmp_path / "t")) for spark in (riacho, apache)]
    assert both[0] == both[1]
    assert len(both[0]) == 9
    where = "k = 'a/b c' AND at > '2024-01-01'"
    assert rows(load(apache, tmp_path / "t").where(where)) == rows(load(riacho, tmp_path / "t").where(where))


def test_spark_skips_files_by_our_statistics_rightly(
    riacho: SparkSession, apache: SparkSession, tmp_path: Path
) -> None:
    columns = (
        "id", "IF(id = 7, double('NaN'), double(id)) d", "timestamp_micros(1700000000000000 + id * 333) at",
        "concat(repeat('z', 40), id) x", "CAST(id AS DECIMAL(20,3)) / 8 m",
    )  # fmt: skip
    for first in (0, 5):
        riacho.range(first, first + 5).selectExpr(*columns).write.format("delta").mode("append").save(
            str(tmp_path / "t")
        )
    # Row groups are another story: Parquet's own statistics pass over NaN, and Spark goes by them.
    apache.conf.set("spark.sql.parquet.filterPushdown", "false")
    table = load(apache, tmp_path / "t")
    for condition in (
        "d > 100", "at >= timestamp_micros(1700000000002997)", "at > timestamp_micros(1700000000002996)",
        "x = concat(repeat('z', 40), 9)", "x > concat(repeat('z', 40), 8)", "m >= 1.125", "id = 9", "d IS NULL",
    ):  # fmt: skip
        matching = [row["id"] for row in rows(table.selectExpr("id", f"{condition} AS wanted")) if row["wanted"]]
        assert [row["id"] for row in rows(table.where(condition).select("id"))] == matching


def test_a_query_moves_from_one_to_the_other(riacho: SparkSession, apache: SparkSession, tmp_path: Path) -> None:
    """The same checkpoint, the same table: each goes on where the other stopped, and nothing is written twice."""
    source, table, checkpoint = tmp_path / "in", tmp_path / "t", tmp_path / "c"
    for number, spark in enumerate((riacho, apache, riacho, apache)):
        riacho.range(number * 10, number * 10 + 2).coalesce(1).write.mode("append").parquet(str(source))
        stream(spark, source, table, checkpoint)
    assert [row[0] for row in rows(load(apache, table))] == [0, 1, 10, 11, 20, 21, 30, 31]
    assert load(riacho, table).count() == 8


def test_a_delta_stream_moves_from_one_to_the_other(riacho: SparkSession, apache: SparkSession, tmp_path: Path) -> None:
    source, table, checkpoint = tmp_path / "from", tmp_path / "to", tmp_path / "c"
    for number, spark in enumerate((apache, riacho, apache, riacho)):
        riacho.range(number * 10, number * 10 + 2).write.format("delta").mode("append").save(str(source))
        frame = spark.readStream.format("delta").option("maxFilesPerTrigger", 1).load(str(source))
        writer = frame.writeStream.format("delta").option("checkpointLocation", str(checkpoint))
        assert writer.trigger(availableNow=True).start(str(table)).awaitTermination(60)
    assert [row[0] for row in rows(load(apache, table))] == [0, 1, 10, 11, 20, 21, 30, 31]


def test_changes_by_one_are_the_others_change_feed(riacho: SparkSession, apache: SparkSession, tmp_path: Path) -> None:
    table = tmp_path / "t"
    feed = "'delta.enableChangeDataFeed' = 'true'"
    riacho.sql(f"CREATE TABLE openness_feed (id BIGINT, s STRING) TBLPROPERTIES ({feed}) LOCATION '{table}'")
    riacho.sql("INSERT INTO openness_feed VALUES (1, 'a'), (2, 'b'), (3, 'c')")
    apache.sql(f"UPDATE delta.`{table}` SET s = 'z' WHERE id = 2")
    riacho.sql("DELETE FROM openness_feed WHERE id = 1")
    apache.sql(f"ALTER TABLE delta.`{table}` SET TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')")
    apache.sql(f"DELETE FROM delta.`{table}` WHERE id = 3")
    riacho.sql("DROP TABLE openness_feed")
    options = {"readChangeFeed": "true", "startingVersion": "1"}
    found = [
        rows(spark.read.format("delta").options(**options).load(str(table)).drop("_commit_timestamp"))
        for spark in (riacho, apache)
    ]
    assert found[0] == found[1]
    assert len(found[0]) == 7


def test_riacho_streams_a_table_that_spark_masks_rows_in(
    riacho: SparkSession, apache: SparkSession, tmp_path: Path
) -> None:
    table = str(tmp_path / "t")
    masked = apache.range(10).coalesce(1).write.format("delta").option("delta.enableDeletionVectors", "true")
    masked.save(table)
    apache.sql(f"DELETE FROM delta.`{table}` WHERE id IN (2, 7)")
    frame = riacho.readStream.format("delta").load(table)
    query = frame.writeStream.format("memory").queryName("masked").trigger(availableNow=True).start()
    assert query.awaitTermination(60)
    assert [row[0] for row in rows(riacho.table("masked"))] == [0, 1, 3, 4, 5, 6, 8, 9]


def test_tables_of_the_warehouse_are_found_by_spark(riacho: SparkSession, apache: SparkSession, tmp_path: Path) -> None:
    """Comments, constraints, properties and history mean the same to Spark."""
    table = tmp_path / "t"
    riacho.sql(
        f"CREATE TABLE openness_described (id BIGINT NOT NULL COMMENT 'the id', s STRING) COMMENT 'tbl' "
        f"TBLPROPERTIES (x = '1') LOCATION '{table}'"
    )
    riacho.sql("INSERT INTO openness_described VALUES (1, 'a')")
    riacho.sql("DROP TABLE openness_described")
    described = {row["col_name"]: row for row in apache.sql(f"DESCRIBE EXTENDED delta.`{table}`").collect()}
    assert described["id"]["comment"] == "the id"
    detail = apache.sql(f"DESCRIBE DETAIL delta.`{table}`").collect()[0]
    assert (detail["description"], detail["properties"]) == ("tbl", {"x": "1"})
    history = apache.sql(f"DESCRIBE HISTORY delta.`{table}`").collect()
    assert [row["operation"] for row in history] == ["WRITE", "CREATE TABLE"]
    with pytest.raises(Exception, match="NOT NULL"):
        apache.sql(f"INSERT INTO delta.`{table}` VALUES (NULL, 'b')")
