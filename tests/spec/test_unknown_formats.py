"""A format that nobody has is an error that names it, wherever a format can be named."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from pyspark.errors import AnalysisException, PySparkException, UnsupportedOperationException
from pyspark.sql import SparkSession
from pyspark.sql.streaming.readwriter import DataStreamWriter

from tests.spec.support import files, finish, rows, said, write_text


def stream(spark: SparkSession, checkpoint: Path) -> DataStreamWriter:
    return spark.readStream.format("rate").load().writeStream.option("checkpointLocation", str(checkpoint))


@pytest.mark.parametrize("name", ["NoSuch", "org.elasticsearch.spark.sql.DefaultSource", "cassandra"])
def test_it_is_named_as_it_was_given(spark: SparkSession, database: str, tmp_path: Path, name: str) -> None:
    path, table = str(tmp_path / "x"), f"{database}.t"
    doors: Mapping[str, Callable[[], object]] = {
        "read": lambda: spark.read.format(name).load(path).schema,
        "write": lambda: spark.range(1).write.format(name).mode("append").save(path),
        "readStream": lambda: spark.readStream.format(name).load(path).schema,
        "writeStream": lambda: stream(spark, tmp_path / "c").format(name).start(path),
        "toTable": lambda: stream(spark, tmp_path / "c").format(name).toTable(table),
        "view": lambda: spark.sql(f"CREATE TEMPORARY VIEW v USING {name}"),
        "directory": lambda: spark.sql(f"INSERT OVERWRITE DIRECTORY '{path}' USING {name} SELECT 1"),
    }
    for door, go in doors.items():
        with pytest.raises(PySparkException) as caught:
            go()
        assert caught.value.getCondition() == "DATA_SOURCE_NOT_FOUND", door
        assert f"[DATA_SOURCE_NOT_FOUND] Failed to find the data source: {name}. Make sure" in said(caught.value), door


@pytest.mark.parametrize("name", ["nosuch", "com.x.y"])
def test_tables_cannot_be_of_it(spark: SparkSession, database: str, name: str) -> None:
    table = f"{database}.t"
    doors: Mapping[str, Callable[[], object]] = {
        "CREATE": lambda: spark.sql(f"CREATE TABLE {table} (a INT) USING {name}"),
        "CTAS": lambda: spark.sql(f"CREATE TABLE {table} USING {name} AS SELECT 1 AS a"),
        "saveAsTable": lambda: spark.range(1).write.format(name).saveAsTable(table),
        "writeTo": lambda: spark.range(1).writeTo(table).using(name).create(),
        "catalog": lambda: spark.catalog.createTable(table, source=name),
    }
    for door, go in doors.items():
        with pytest.raises(PySparkException) as caught:
            go()
        assert f"[DATA_SOURCE_NOT_FOUND] Failed to find the data source: {name}. Make sure" in said(caught.value), door


def test_some_formats_are_for_streams_only_and_some_not_for_them(spark: SparkSession, tmp_path: Path) -> None:
    for name in ("rate", "console", "noop"):
        with pytest.raises(AnalysisException) as caught:
            _ = spark.read.format(name).load().schema
        assert said(caught.value).endswith(f"{name} is not a valid Spark SQL Data Source.")
    for name in ("console", "noop", "jdbc"):
        with pytest.raises(UnsupportedOperationException) as refused:
            _ = spark.readStream.format(name).load().schema
        assert said(refused.value).endswith(f"Data source {name} does not support streamed reading.")
    for name in ("rate", "jdbc"):
        with pytest.raises(UnsupportedOperationException) as refused:
            stream(spark, tmp_path / "c").format(name).start()
        assert said(refused.value).endswith(f"Data source {name} does not support streamed writing.")


def test_long_names_of_formats(spark: SparkSession, tmp_path: Path) -> None:
    write_text(tmp_path / "in" / "1.csv", "1,a\n")
    for name in (
        "com.databricks.spark.csv",
        "org.apache.spark.sql.execution.datasources.csv.CSVFileFormat",
    ):
        schema, path = "i INT, s STRING", str(tmp_path / "in")
        assert rows(spark.read.format(name).schema(schema).load(path)) == [(1, "a")]
        view = name.replace(".", "_")
        writer = files(spark, tmp_path / "in", schema, name).writeStream.format("memory").queryName(view)
        finish(writer.trigger(availableNow=True).start())
        assert rows(spark.table(view)) == [(1, "a")]
    out = str(tmp_path / "out")
    spark.range(1).write.format("org.apache.spark.sql.json").save(out)
    assert rows(spark.read.json(out)) == [(0,)]


@pytest.mark.riacho_only
def test_what_riacho_does_not_have_yet_is_said(spark: SparkSession, tmp_path: Path) -> None:
    for go in (
        lambda: spark.read.format("iceberg").load("x").schema,
        lambda: spark.range(1).write.format("iceberg").save("x"),
        lambda: spark.sql("CREATE TEMPORARY VIEW v USING iceberg OPTIONS (path 'x')"),
        lambda: spark.readStream.format("kinesis").load().schema,
        lambda: stream(spark, tmp_path / "c").format("iceberg").start(),
    ):
        with pytest.raises(PySparkException, match="riacho does not have it yet") as caught:
            go()
        assert caught.value.getCondition() == "DATA_SOURCE_NOT_FOUND"
