"""A streaming DataFrame can be looked at without being run."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from tests.spec.support import files, finish, ids, rows, write_json


@pytest.fixture
def stream(spark: SparkSession, tmp_path: Path) -> DataFrame:
    write_json(tmp_path / "landing" / "1.json", [{"id": 1, "name": "Ana"}, {"id": 2, "name": "Bia"}])
    return files(spark, tmp_path / "landing", "id BIGINT, name STRING")


def test_it_knows_that_it_streams(spark: SparkSession, stream: DataFrame) -> None:
    assert stream.isStreaming
    assert stream.select("id").where("id > 1").isStreaming
    assert not spark.range(1).isStreaming
    assert stream.join(spark.createDataFrame([(1,)], "id BIGINT"), "id").isStreaming


def test_it_knows_its_schema(stream: DataFrame) -> None:
    changed = stream.select("id", F.upper("name").alias("upper"), (F.col("id") / 2).alias("half"))
    assert changed.columns == ["id", "upper", "half"]
    assert changed.dtypes == [("id", "bigint"), ("upper", "string"), ("half", "double")]


def test_it_prints_its_schema(stream: DataFrame, capsys: pytest.CaptureFixture[str]) -> None:
    stream.printSchema()
    assert capsys.readouterr().out == "root\n |-- id: long (nullable = true)\n |-- name: string (nullable = true)\n\n"


def test_it_explains_itself(stream: DataFrame, capsys: pytest.CaptureFixture[str]) -> None:
    stream.where("id > 1").explain()
    assert "Physical Plan" in capsys.readouterr().out


def run(spark: SparkSession, frame: DataFrame) -> list[tuple[object, ...]]:
    finish(frame.writeStream.format("memory").queryName("seen").trigger(availableNow=True).start())
    return rows(spark.table("seen"))


def test_filter_and_projection(spark: SparkSession, stream: DataFrame) -> None:
    assert run(spark, stream.where("id > 1").select(F.lower("name"))) == [("bia",)]


def test_new_renamed_and_dropped_columns(spark: SparkSession, stream: DataFrame) -> None:
    changed = stream.withColumn("twice", F.col("id") * 2).withColumnRenamed("name", "who").drop("id")
    assert changed.columns == ["who", "twice"]
    assert run(spark, changed) == [("Ana", 2), ("Bia", 4)]


def test_explode(spark: SparkSession, stream: DataFrame) -> None:
    split = stream.select("id", F.explode(F.split("name", "")).alias("letter")).where("letter = 'a'")
    assert run(spark, split) == [(1, "a"), (2, "a")]


def test_join_with_a_batch(spark: SparkSession, stream: DataFrame) -> None:
    cities = spark.createDataFrame([(1, "Recife"), (3, "Natal")], "id BIGINT, city STRING")
    assert run(spark, stream.join(cities, "id")) == [(1, "Ana", "Recife")]


def test_left_join_with_a_batch(spark: SparkSession, stream: DataFrame) -> None:
    cities = spark.createDataFrame([(1, "Recife")], "id BIGINT, city STRING")
    assert run(spark, stream.join(cities, "id", "left")) == [(1, "Ana", "Recife"), (2, "Bia", None)]


def test_union_of_two_streams(spark: SparkSession, stream: DataFrame, tmp_path: Path) -> None:
    write_json(tmp_path / "other" / "1.json", [{"id": 3, "name": "Caio"}])
    both = stream.unionByName(files(spark, tmp_path / "other", "name STRING, id BIGINT"))
    assert run(spark, both) == [(1, "Ana"), (2, "Bia"), (3, "Caio")]


def test_a_python_function(spark: SparkSession, stream: DataFrame) -> None:
    shout = F.udf(lambda name: f"{name}!", "string")
    assert run(spark, stream.select(shout("name"))) == [("Ana!",), ("Bia!",)]


def test_the_time_is_the_same_for_all_rows_of_a_batch(spark: SparkSession, stream: DataFrame) -> None:
    run(spark, stream.select(F.current_timestamp().alias("now")))
    assert spark.table("seen").distinct().count() == 1


def test_a_watermark_changes_nothing_for_stateless_steps(spark: SparkSession, stream: DataFrame) -> None:
    timed = stream.withColumn("at", F.timestamp_seconds("id")).withWatermark("at", "1 minute")
    assert run(spark, timed.select("id")) == [(1,), (2,)]


def test_sql_over_a_view_of_a_stream(spark: SparkSession, stream: DataFrame) -> None:
    stream.createOrReplaceTempView("people")
    upper = spark.sql("SELECT id, upper(name) AS name FROM people WHERE id > 1")
    assert upper.isStreaming
    assert upper.columns == ["id", "name"]
    assert run(spark, upper) == [(2, "BIA")]


def test_a_view_over_a_view(spark: SparkSession, stream: DataFrame) -> None:
    stream.createOrReplaceTempView("people")
    spark.sql("SELECT id FROM people").createOrReplaceTempView("numbers")
    assert spark.table("numbers").isStreaming
    assert run(spark, spark.sql("SELECT id + 10 FROM numbers")) == [(11,), (12,)]


def test_sql_joins_a_stream_with_a_table(spark: SparkSession, stream: DataFrame) -> None:
    stream.createOrReplaceTempView("people")
    spark.createDataFrame([(1, "Recife")], "id BIGINT, city STRING").createOrReplaceTempView("cities")
    joined = spark.sql("SELECT name, city FROM people JOIN cities USING (id)")
    assert run(spark, joined) == [("Ana", "Recife")]


def test_select_expressions(spark: SparkSession, stream: DataFrame) -> None:
    expression = stream.selectExpr("CASE WHEN id = 1 THEN 'one' ELSE 'more' END AS size", "name || '?' AS who")
    assert run(spark, expression) == [("more", "Bia?"), ("one", "Ana?")]


def test_sql_reads_a_table_as_a_stream(spark: SparkSession, database: str) -> None:
    spark.sql(f"CREATE TABLE {database}.numbers (id BIGINT) USING delta")
    spark.sql(f"INSERT INTO {database}.numbers VALUES (1), (2)")
    frame = spark.sql(f"SELECT id FROM STREAM {database}.numbers WHERE id > 1")
    assert frame.isStreaming
    assert run(spark, frame) == [(2,)]


def test_a_temporary_view_of_a_stream_can_be_read_as_a_stream(spark: SparkSession, stream: DataFrame) -> None:
    stream.createOrReplaceTempView("people")
    assert run(spark, spark.readStream.table("people").select("id")) == [(1,), (2,)]


def test_one_stream_can_feed_several_queries(spark: SparkSession, stream: DataFrame) -> None:
    for name, limit in (("few", 1), ("many", 2)):
        writer = stream.where(f"id <= {limit}").writeStream.format("memory").queryName(name)
        finish(writer.trigger(availableNow=True).start())
    assert ids(spark.table("few")) == [1]
    assert ids(spark.table("many")) == [1, 2]
