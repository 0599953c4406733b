"""Where a row came from: the hidden column `_metadata`, and `input_file_name()`."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from tests.spec.support import files, finish, rows, write_json


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    for number in range(2):
        write_json(tmp_path / "landing" / f"{number}.json", [{"id": number}])
    return tmp_path / "landing"


def read(spark: SparkSession, stream: DataFrame) -> list[tuple[object, ...]]:
    finish(stream.writeStream.format("memory").queryName("seen").trigger(availableNow=True).start())
    return rows(spark.table("seen"))


def test_metadata_is_there_when_asked_for_and_not_else(spark: SparkSession, landing: Path) -> None:
    stream = files(spark, landing)
    assert stream.columns == ["id"]
    assert stream.select("*", "_metadata").select("_metadata.*").columns == [
        "file_path",
        "file_name",
        "file_size",
        "file_block_start",
        "file_block_length",
        "file_modification_time",
    ]


def test_metadata_tells_path_name_size_and_time(spark: SparkSession, landing: Path) -> None:
    stream = files(spark, landing).select(
        "id",
        "_metadata.file_path",
        "_metadata.file_name",
        "_metadata.file_size",
        F.unix_millis("_metadata.file_modification_time"),
    )
    expected = []
    for number in range(2):
        file = landing / f"{number}.json"
        expected.append((number, f"file:{file}", file.name, file.stat().st_size, file.stat().st_mtime_ns // 1_000_000))
    assert read(spark, stream) == expected


def test_input_file_name_is_the_path_of_the_row(spark: SparkSession, landing: Path) -> None:
    stream = files(spark, landing).withColumn("source", F.input_file_name())
    assert read(spark, stream) == [(n, f"file://{landing}/{n}.json") for n in range(2)]


def test_a_space_in_a_name_is_escaped(spark: SparkSession, tmp_path: Path) -> None:
    write_json(tmp_path / "landing" / "a b.json", [{"id": 1}])
    stream = files(spark, tmp_path / "landing")
    stream = stream.select("_metadata.file_path", "_metadata.file_name", F.input_file_name())
    folder = tmp_path / "landing"
    assert read(spark, stream) == [(f"file:{folder}/a%20b.json", "a%20b.json", f"file://{folder}/a%20b.json")]


def test_both_work_below_other_steps(spark: SparkSession, landing: Path) -> None:
    stream = (
        files(spark, landing)
        .where("id > 0")
        .withColumn("source", F.input_file_name())
        .withColumn("name", F.col("_metadata.file_name"))
        .select(F.upper("name"), F.length("source") > 0)
    )
    assert read(spark, stream) == [("1.JSON", True)]


def test_a_csv_has_them_too(spark: SparkSession, tmp_path: Path) -> None:
    write_json(tmp_path / "f.csv", [])
    (tmp_path / "f.csv").write_text("1\n")
    stream = files(spark, tmp_path, "id INT", "csv").select("id", "_metadata.file_name")
    assert read(spark, stream) == [(1, "f.csv")]


def test_the_name_is_known_above_sql(spark: SparkSession, landing: Path) -> None:
    files(spark, landing).createOrReplaceTempView("landed")
    for text in (
        "SELECT * FROM landed",
        "SELECT id FROM landed WHERE id >= 0",
        "SELECT a.id FROM (SELECT * FROM landed) a",
    ):
        stream = spark.sql(text).withColumn("name", F.input_file_name())
        assert read(spark, stream) == [(n, f"file://{landing}/{n}.json") for n in range(2)], text
