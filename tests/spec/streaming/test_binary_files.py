"""Files read whole: `binaryFile`, as a batch and as a stream."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pyspark.errors import IllegalArgumentException, PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from tests.spec.support import finish, rows, until

SCHEMA = "path STRING, modificationTime TIMESTAMP, length BIGINT, content BINARY"


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    """A folder of one partition with files of 5, 2 and no bytes."""
    folder = tmp_path / "in"
    (folder / "k=1").mkdir(parents=True)
    for name, content in {"a.bin": b"\x00\x01abc", "b b.txt": b"\xff\n", "empty.bin": b""}.items():
        (folder / "k=1" / name).write_bytes(content)
    return folder


def stream(spark: SparkSession, landing: Path, schema: str = SCHEMA, **options: Any) -> DataFrame:
    return spark.readStream.format("binaryFile").schema(schema).options(**options).load(str(landing))


def run(spark: SparkSession, frame: DataFrame, name: str = "seen") -> list[tuple[Any, ...]]:
    finish(frame.writeStream.format("memory").queryName(name).trigger(availableNow=True).start())
    return rows(spark.table(name))


def expected(landing: Path, *names: str) -> list[tuple[Any, ...]]:
    found = [(landing / "k=1" / name) for name in names]
    return sorted(
        [
            (f"file:{path}", path.stat().st_mtime_ns // 1_000_000, path.stat().st_size, path.read_bytes(), 1)
            for path in found
        ],
        key=repr,
    )


def millis(frame: DataFrame) -> DataFrame:
    return frame.withColumn("modificationTime", F.unix_millis("modificationTime"))


def test_a_file_is_a_row_and_an_empty_one_is_none(spark: SparkSession, landing: Path) -> None:
    batch = spark.read.format("binaryFile").load(str(landing))
    streamed = stream(spark, landing)
    assert batch.columns == streamed.columns == ["path", "modificationTime", "length", "content", "k"]
    assert rows(millis(batch)) == expected(landing, "a.bin", "b b.txt")
    # Times have whole milliseconds, so nothing hides behind `unix_millis`.
    assert batch.where("modificationTime = timestamp_millis(unix_millis(modificationTime))").count() == 2
    assert run(spark, millis(streamed)) == expected(landing, "a.bin", "b b.txt")
    chosen = stream(spark, landing, pathGlobFilter="*.bin")
    assert run(spark, millis(chosen), "chosen") == expected(landing, "a.bin")
    assert run(spark, chosen.select("length", "k"), "lengths") == [(5, 1)]


def test_a_schema_is_needed_and_must_be_the_fixed_one(spark: SparkSession, landing: Path) -> None:
    with pytest.raises(IllegalArgumentException, match="Schema must be specified"):
        _ = spark.readStream.format("binaryFile").load(str(landing)).schema
    spark.conf.set("spark.sql.streaming.schemaInference", "true")
    inferred = spark.readStream.format("binaryFile").load(str(landing))
    assert run(spark, millis(inferred)) == expected(landing, "a.bin", "b b.txt")
    query = stream(spark, landing, "path STRING, length BIGINT").writeStream.format("memory").queryName("part").start()
    with pytest.raises(PySparkException, match="Binary file data source expects dataSchema"):
        until(query, lambda: False)


def test_a_file_that_is_too_long_is_an_error_only_if_its_bytes_are_read(spark: SparkSession, landing: Path) -> None:
    spark.conf.set("spark.sql.sources.binaryFile.maxLength", "3")
    streamed = stream(spark, landing)
    assert run(spark, streamed.select("length")) == [(2,), (5,)]
    query = streamed.writeStream.format("memory").queryName("long").start()
    with pytest.raises(PySparkException, match=re.escape("FAILED_READ_FILE.NO_HINT") + r"(.|\n)*a\.bin"):
        until(query, lambda: False)
