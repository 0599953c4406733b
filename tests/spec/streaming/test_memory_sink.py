"""The memory sink: a table of this session that a stream fills."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.errors import AnalysisException, IllegalArgumentException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.streaming.query import StreamingQuery
from pyspark.sql.streaming.readwriter import DataStreamWriter

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


def test_two_columns_may_have_one_name(spark: SparkSession, landing: Path, tmp_path: Path) -> None:
    twice = files(spark, landing).select("id", F.lit("x").alias("id"))
    query = twice.writeStream.format("memory").queryName("twice").start()
    query.processAllAvailable()
    assert spark.table("twice").schema.simpleString() == "struct<id:bigint,id:string>"
    assert rows(spark.sql("SELECT * FROM twice")) == [(1, "x"), (2, "x")]
    assert spark.sql("WITH t AS (SELECT * FROM twice) SELECT count(*) FROM t").first() == (2,)
    with pytest.raises(AnalysisException) as caught:
        spark.sql("SELECT id FROM twice").collect()
    assert caught.value.getCondition() == "AMBIGUOUS_REFERENCE"
    spark.table("twice").toDF("id", "x").createOrReplaceTempView("told_apart")
    write_json(landing / "2.json", [{"id": 3}])
    query.processAllAvailable()
    assert ids(spark.table("told_apart")) == [1, 2, 3]
    assert {"twice", "told_apart"} <= {table.name for table in spark.catalog.listTables()}

    counts = files(spark, landing).groupBy("id").count().select(F.col("count").alias("n"), F.col("id").alias("n"))
    for mode in ("complete", "update"):
        finish(_once(counts.writeStream.format("memory").queryName(mode).outputMode(mode)))
        assert rows(spark.table(mode)) == [(1, 1), (1, 2), (1, 3)]
    for sink in ("console", "noop"):
        finish(_once(twice.writeStream.format(sink)))
    seen = tmp_path / "seen.txt"

    def keep(frame: DataFrame, batch_id: int) -> None:
        seen.write_text(f"{frame.columns} {sorted(map(tuple, frame.collect()))}")

    finish(_once(twice.writeStream.foreachBatch(keep)))
    assert seen.read_text() == "['id', 'id'] [(1, 'x'), (2, 'x'), (3, 'x')]"


def test_a_view_made_of_the_table_shows_what_the_table_shows(spark: SparkSession, landing: Path) -> None:
    counts = files(spark, landing).groupBy("id").count()
    query = counts.writeStream.format("memory").queryName("counts").outputMode("complete").start()
    query.processAllAvailable()
    spark.table("counts").where("id > 1").createOrReplaceTempView("large")
    spark.sql("CREATE OR REPLACE TEMP VIEW doubled AS SELECT id, count * 2 AS twice FROM large")
    assert rows(spark.table("doubled")) == [(2, 2)]
    for number in range(2, 8):
        write_json(landing / f"{number}.json", [{"id": 2}])
        query.processAllAvailable()
    assert rows(spark.table("large")) == [(2, 7)]
    assert rows(spark.table("doubled")) == [(2, 14)]
    query.stop()
    assert rows(spark.table("doubled")) == [(2, 14)]


def _once(writer: DataStreamWriter) -> StreamingQuery:
    return writer.trigger(availableNow=True).start()
