"""Columns that a plan has no use for: readers do not look at their values, so these may be anything."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.errors import StreamingQueryException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from tests.spec.support import batches, files, finish, rows, write_text

SCHEMA = "id INT, name STRING, v INT"
WITH_CORRUPT = f"{SCHEMA}, _corrupt_record STRING"
JSON = '{"id": 1, "name": "Ana", "v": 1}\n{"id": 2, "name": "Bia", "v": "x"}\n{"id": 3, "name": "Caio", "v"\n[4]\n'
CSV = '1,Ana,10\n2\n#3,Bia,3\nx,Caio,y\n   \n4,Davi,40,more\n5,"Eva,Ed",50\n'

Rows = list[tuple[Any, ...]]


def read(spark: SparkSession, stream: DataFrame, mode: str = "append") -> Rows:
    writer = stream.writeStream.format("memory").queryName("seen").outputMode(mode).trigger(availableNow=True)
    finish(writer.start())
    return rows(spark.table("seen"))


def count(spark: SparkSession, stream: DataFrame) -> int:
    [(found,)] = read(spark, stream.groupBy().count(), "complete")
    return int(found)


def test_a_json_value_of_another_type_does_not_matter_where_it_is_not_used(spark: SparkSession, tmp_path: Path) -> None:
    write_text(tmp_path / "1.json", JSON)
    stream = files(spark, tmp_path, WITH_CORRUPT)
    broken = [(None, "[4]"), (None, '{"id": 3, "name": "Caio", "v"')]
    assert read(spark, stream.select("id", "_corrupt_record")) == [(1, None), (2, None), *broken]
    assert read(spark, stream.select("v", "_corrupt_record")) == [
        (1, None),
        (None, "[4]"),
        (None, '{"id": 2, "name": "Bia", "v": "x"}'),
        *broken[1:],
    ]


def test_malformed_json_is_malformed_whatever_is_used(spark: SparkSession, tmp_path: Path) -> None:
    write_text(tmp_path / "1.json", JSON)
    dropping = files(spark, tmp_path, SCHEMA, mode="DROPMALFORMED")
    assert read(spark, dropping.select("id")) == [(1,), (2,)]
    assert read(spark, dropping.select("v")) == [(1,)]
    assert count(spark, dropping) == 2
    assert count(spark, files(spark, tmp_path, SCHEMA)) == 4
    for stream in (files(spark, tmp_path, SCHEMA, mode="FAILFAST").select(name) for name in ("id", "v")):
        with pytest.raises(StreamingQueryException, match=r"FAILED_READ_FILE.*1\.json"):
            read(spark, stream)


@pytest.mark.parametrize("multi_line", [False, True])
def test_failfast_counts_what_it_would_not_read(spark: SparkSession, tmp_path: Path, multi_line: bool) -> None:
    write_text(tmp_path / "1.json", '{"id": "one", "name": {}, "v": []}\n')
    assert count(spark, files(spark, tmp_path, SCHEMA, mode="FAILFAST", multiLine=multi_line)) == 1


@pytest.mark.parametrize("form", ["json", "csv"])
def test_the_column_for_corrupt_records_cannot_be_all_that_is_used(
    spark: SparkSession, tmp_path: Path, form: str
) -> None:
    write_text(tmp_path / f"1.{form}", JSON)
    stream = files(spark, tmp_path, WITH_CORRUPT, form)
    with pytest.raises(StreamingQueryException, match="UNSUPPORTED_FEATURE.QUERY_ONLY_CORRUPT_RECORD_COLUMN"):
        read(spark, stream.where("_corrupt_record IS NOT NULL").select(F.length("_corrupt_record")))
    assert count(spark, stream.select("_corrupt_record")) > 1


def test_a_csv_line_may_be_short_or_long_where_not_all_columns_are_used(spark: SparkSession, tmp_path: Path) -> None:
    write_text(tmp_path / "1.csv", CSV)
    dropping = files(spark, tmp_path, SCHEMA, "csv", mode="DROPMALFORMED", comment="#")
    assert read(spark, dropping) == [(1, "Ana", 10), (5, "Eva,Ed", 50)]
    assert read(spark, dropping.select("id")) == [(1,), (2,), (4,), (5,)]
    assert read(spark, dropping.select("v", "name")) == [(10, "Ana"), (40, "Davi"), (50, "Eva,Ed"), (None, None)]
    assert count(spark, dropping) == 5
    stream = files(spark, tmp_path, WITH_CORRUPT, "csv", comment="#")
    expected = [(1, None), (2, None), (4, None), (5, None), (None, "x,Caio,y")]
    assert read(spark, stream.select("id", "_corrupt_record")) == expected


@pytest.mark.parametrize("how", ["option", "conf", "multiLine"])
def test_csv_lines_must_have_all_values_without_pruning(spark: SparkSession, tmp_path: Path, how: str) -> None:
    write_text(tmp_path / "1.csv", "1,Ana,10\n2\nx,Caio,y\n4,Davi,40,more\n")
    options = {"option": {"columnPruning": False}, "multiLine": {"multiLine": True}}.get(how, {})
    if how == "conf":
        spark.conf.set("spark.sql.csv.parser.columnPruning.enabled", "false")
    dropping = files(spark, tmp_path, SCHEMA, "csv", mode="DROPMALFORMED", **options)
    assert read(spark, dropping.select("id")) == [(1,)]
    assert read(spark, dropping.select("name")) == [("Ana",), ("Caio",)]
    assert count(spark, dropping) == 2


def test_a_csv_header_must_name_the_columns_that_are_used(spark: SparkSession, tmp_path: Path) -> None:
    write_text(tmp_path / "1.csv", "id,other,v\n1,Ana,10\n2\n")
    stream = files(spark, tmp_path, SCHEMA, "csv", header=True, enforceSchema=False)
    assert read(spark, stream.select("v", "id")) == [(10, 1), (None, 2)]
    assert count(spark, stream) == 2
    whole = files(spark, tmp_path, SCHEMA, "csv", header=True, enforceSchema=False, multiLine=True)
    for refused in (stream, stream.select("name"), whole.select("v")):
        with pytest.raises(StreamingQueryException, match=r"FAILED_READ_FILE.*1\.csv"):
            read(spark, refused)


def test_a_parquet_column_of_another_type_does_not_matter_where_it_is_not_used(
    spark: SparkSession, tmp_path: Path
) -> None:
    pq.write_table(pa.table({"id": pa.array([1, 2], pa.int32()), "v": ["x", "y"]}), tmp_path / "1.parquet")
    stream = files(spark, tmp_path, SCHEMA, "parquet")
    assert read(spark, stream.select("id")) == [(1,), (2,)]
    assert count(spark, stream) == 2


@pytest.mark.parametrize("whole", [False, True])
def test_lines_of_text_are_counted(spark: SparkSession, tmp_path: Path, whole: bool) -> None:
    write_text(tmp_path / "1.txt", "a\n\nb")
    assert count(spark, files(spark, tmp_path, "value STRING", "text", wholetext=whole)) == (1 if whole else 3)


def of_text(stream: DataFrame) -> DataFrame:
    stream.createOrReplaceTempView("lines")
    return stream.sparkSession.sql("SELECT id * 2 AS id FROM lines WHERE name <> ''")


WITHOUT_V: dict[str, Callable[[DataFrame], DataFrame]] = {
    "select": lambda s: s.select("id"),
    "nothing": lambda s: s.select(F.lit(1)),
    "drop": lambda s: s.drop("v"),
    "replaced": lambda s: s.withColumn("v", F.col("id")),
    "renamed": lambda s: s.withColumnRenamed("id", "k").select("k"),
    "filter below": lambda s: s.select("id").where("name IS NOT NULL"),
    "made in vain": lambda s: s.withColumn("w", F.col("v") + 1).select("id"),
    "fill": lambda s: s.fillna(0).select("id"),
    "drop nulls": lambda s: s.dropna(subset=["name"]).select("id"),
    "text": of_text,
    "limit": lambda s: s.limit(5).select("id"),
    "duplicates": lambda s: s.dropDuplicates(["id"]).select("name"),
}


@pytest.mark.parametrize("plan", WITHOUT_V)
def test_plans_that_do_not_use_a_column(spark: SparkSession, tmp_path: Path, plan: str) -> None:
    write_text(tmp_path / "1.json", '{"id": 1, "name": "Ana", "v": "x"}\n')
    query = WITHOUT_V[plan](files(spark, tmp_path, SCHEMA, mode="FAILFAST"))
    assert len(read(spark, query)) == 1


WITH_V: dict[str, Callable[[DataFrame], DataFrame]] = {
    "all": lambda s: s,
    "condition": lambda s: s.where("v IS NULL").select("id"),
    "below": lambda s: s.select("id").where("v > 0"),
    "any null": lambda s: s.dropna().select("id"),
    "duplicates": lambda s: s.dropDuplicates().select("id"),
    "generator": lambda s: s.select(F.explode(F.array("v", "id")).alias("e"), "id").select("id"),
    "struct": lambda s: s.select(F.to_json(F.struct("*"))),
    "regex": lambda s: s.select(s.colRegex("`v.*`")),
    "observed": lambda s: s.observe("seen", F.sum("v")).select("id"),
}


@pytest.mark.parametrize("plan", WITH_V)
def test_plans_that_use_a_column(spark: SparkSession, tmp_path: Path, plan: str) -> None:
    write_text(tmp_path / "1.json", '{"id": 1, "name": "Ana", "v": "x"}\n')
    query = WITH_V[plan](files(spark, tmp_path, SCHEMA, mode="FAILFAST"))
    with pytest.raises(StreamingQueryException, match="FAILED_READ_FILE"):
        read(spark, query)


def test_an_aggregation_reads_its_keys_and_arguments(spark: SparkSession, tmp_path: Path) -> None:
    write_text(tmp_path / "1.json", '{"id": 1, "name": "x", "v": 2}\n{"id": 1, "name": "y", "v": 3}\n')
    stream = files(spark, tmp_path, "id INT, name BOOLEAN, v INT", mode="FAILFAST")
    assert read(spark, stream.groupBy("id").agg(F.sum("v"), F.count("*")), "complete") == [(1, 5, 2)]


@pytest.mark.parametrize("sensitive", [False, True])
def test_names_that_differ_in_case_are_one_column_or_two(spark: SparkSession, tmp_path: Path, sensitive: bool) -> None:
    spark.conf.set("spark.sql.caseSensitive", str(sensitive).lower())
    write_text(tmp_path / "1.json", '{"id": 1, "name": "Ana", "v": 2}\n')
    replaced = files(spark, tmp_path, SCHEMA).withColumn("ID", F.lit(7))
    assert read(spark, replaced.select("id")) == [(1 if sensitive else 7,)]


def test_rows_are_counted_whatever_is_used(spark: SparkSession, tmp_path: Path) -> None:
    write_text(tmp_path / "1.json", '{"id": 1}\n{"id": 2}\n')
    writer = files(spark, tmp_path).select(F.lit("a")).writeStream.format("memory").queryName("seen")
    assert batches(finish(writer.trigger(availableNow=True).start())) == [2]


def test_partition_columns_and_metadata_go_beside_what_is_read(spark: SparkSession, tmp_path: Path) -> None:
    write_text(tmp_path / "day=1" / "1.json", '{"id": "x", "name": "Ana"}\n')
    stream = files(spark, tmp_path, f"{SCHEMA}, day INT", mode="FAILFAST")
    assert read(spark, stream.select("day")) == [(1,)]
    assert read(spark, stream.select("name")) == [("Ana",)]
    assert read(spark, stream.select("_metadata.file_name", "day")) == [("1.json", 1)]


def test_each_batch_of_foreach_batch_has_all_columns(spark: SparkSession, tmp_path: Path) -> None:
    write_text(tmp_path / "in" / "1.json", '{"id": 1, "name": "Ana", "v": 2}\n')
    target = str(tmp_path / "out")

    def write(batch: DataFrame, batch_id: int) -> None:
        batch.select("v", "name").write.format("parquet").save(target)

    finish(files(spark, tmp_path / "in", SCHEMA).writeStream.foreachBatch(write).trigger(availableNow=True).start())
    assert rows(spark.read.parquet(target)) == [(2, "Ana")]


def test_a_dropped_column_can_be_asked_for(spark: SparkSession, tmp_path: Path) -> None:
    """As one that was not selected can: it is looked for further down."""
    write_text(tmp_path / "1.json", '{"id": 1, "name": "Ana", "v": 1}\n{"id": 2, "name": "Bia", "v": 2}\n')
    stream = files(spark, tmp_path, SCHEMA)
    assert read(spark, stream.select("id").where("v > 1")) == [(2,)]
    assert read(spark, stream.drop("v").where("v > 1")) == [(2, "Bia")]
