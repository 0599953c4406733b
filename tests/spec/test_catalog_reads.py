"""Reads of the catalog's tables: change feeds as a batch, and names in any case."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import SparkSession

from tests.spec.support import rows


@pytest.fixture
def table(spark: SparkSession, database: str) -> str:
    """1: rows 1 and 2 · 2: row 2 becomes 20 · 3: row 1 goes."""
    name = f"{database}.numbers"
    spark.sql(f"CREATE TABLE {name} (id BIGINT) USING delta TBLPROPERTIES (delta.enableChangeDataFeed = true)")
    spark.createDataFrame([(1,), (2,)], "id BIGINT").coalesce(1).writeTo(name).append()
    spark.sql(f"UPDATE {name} SET id = 20 WHERE id = 2")
    spark.sql(f"DELETE FROM {name} WHERE id = 1")
    return name


def test_a_change_feed_is_read_as_a_batch(spark: SparkSession, table: str) -> None:
    changes = spark.read.option("readChangeFeed", True).option("startingVersion", 1).table(table)
    assert changes.columns == ["id", "_change_type", "_commit_version", "_commit_timestamp"]
    assert rows(changes.drop("_commit_timestamp")) == [
        (1, "delete", 3),
        (1, "insert", 1),
        (2, "insert", 1),
        (2, "update_preimage", 2),
        (20, "update_postimage", 2),
    ]


def test_its_range_ends_where_one_says(spark: SparkSession, table: str) -> None:
    reader = spark.read.option("readChangeFeed", True).option("startingVersion", 2).option("endingVersion", 2)
    assert {row["_commit_version"] for row in reader.table(table).collect()} == {2}


def test_its_start_must_be_given(spark: SparkSession, table: str) -> None:
    with pytest.raises(PySparkException, match="DELTA_NO_START_FOR_CDC_READ"):
        spark.read.option("readChangeFeed", True).table(table).collect()


def test_it_must_have_been_kept(spark: SparkSession, tmp_path: Path) -> None:
    spark.range(1).write.format("delta").save(str(tmp_path / "t"))
    reader = spark.read.format("delta").option("readChangeFeed", True).option("startingVersion", 0)
    with pytest.raises(AnalysisException, match="DELTA_MISSING_CHANGE_DATA"):
        reader.load(str(tmp_path / "t")).collect()


def test_names_are_found_whatever_their_case(spark: SparkSession, table: str) -> None:
    assert rows(spark.table(table.upper())) == [(20,)]
    assert rows(spark.sql(f"SELECT N.ID FROM {table.upper()} AS n")) == [(20,)]


def test_a_table_at_any_path(spark: SparkSession, tmp_path: Path) -> None:
    path = str(tmp_path / "meus dados" / "ação")
    spark.range(3).write.format("delta").save(path)
    spark.range(3, 5).write.format("delta").mode("append").save(path)
    assert rows(spark.read.format("delta").load(path)) == [(0,), (1,), (2,), (3,), (4,)]
