"""The memory sink: a table of this session that a stream fills."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.errors import AnalysisException, IllegalArgumentException
from pyspark.sql import SparkSession

from tests.spec.support import files, finish, ids, rows, write_json


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    return write_json(tmp_path / "landing" / "1.json", [{"id": 1}, {"id": 2}]).parent


def test_the_table_has_the_name_and_schema_of_the_query(spark: SparkSession, landing: Path) -> None:
    stream = files(spark, landing).selectExpr("id", "id * 2 AS twice")
    finish(stream.writeStream.format("memory").queryName("numbers").trigger(availableNow=True).start())

    assert spark.table("numbers").schema.simpleString() == "struct<id:bigint,twice:bigint>"
    assert rows(spark.sql("SELECT * FROM numbers")) == [(1, 2), (2, 4)]


def test_the_table_is_there_before_any_data(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    files(spark, tmp_path / "empty").writeStream.format("memory").queryName("numbers").start()
    assert rows(spark.table("numbers")) == []


def test_each_batch_is_added(spark: SparkSession, landing: Path) -> None:
    query = files(spark, landing).writeStream.format("memory").queryName("numbers").start()
    query.processAllAvailable()
    write_json(landing / "2.json", [{"id": 3}])
    query.processAllAvailable()
    assert ids(spark.table("numbers")) == [1, 2, 3]


def test_the_table_outlives_the_query(spark: SparkSession, landing: Path) -> None:
    query = files(spark, landing).writeStream.format("memory").queryName("numbers").start()
    query.processAllAvailable()
    query.stop()
    assert ids(spark.table("numbers")) == [1, 2]


def test_a_name_is_required(spark: SparkSession, landing: Path) -> None:
    with pytest.raises(AnalysisException, match="queryName must be specified for memory sink"):
        files(spark, landing).writeStream.format("memory").start()


def test_it_cannot_be_partitioned(spark: SparkSession, landing: Path) -> None:
    with pytest.raises(AnalysisException, match="'memory' does not support partitioning"):
        files(spark, landing).writeStream.format("memory").queryName("numbers").partitionBy("id").start()


def test_it_cannot_continue_a_checkpoint_in_append_mode(spark: SparkSession, landing: Path, tmp_path: Path) -> None:
    def start() -> None:
        writer = files(spark, landing).writeStream.format("memory").queryName("numbers")
        finish(writer.option("checkpointLocation", str(tmp_path / "c")).trigger(availableNow=True).start())

    start()
    with pytest.raises(AnalysisException, match="does not support recovering from checkpoint location"):
        start()


def test_a_start_that_is_refused_leaves_the_table_alone(spark: SparkSession, landing: Path) -> None:
    query = files(spark, landing).writeStream.format("memory").queryName("kept").start()
    query.processAllAvailable()
    before = spark.table("kept").count()
    with pytest.raises(IllegalArgumentException, match="already active"):
        files(spark, landing).writeStream.format("memory").queryName("kept").start()
    assert spark.table("kept").count() == before > 0
