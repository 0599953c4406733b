"""A watermark stands on a top-level column of timestamps."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from tests.spec.support import files, write_json


@pytest.fixture
def stream(spark: SparkSession, tmp_path: Path) -> DataFrame:
    write_json(tmp_path / "landing" / "1.json", [{"id": 1, "ts": "2026-01-01 00:00:01"}])
    return files(spark, tmp_path / "landing", "id BIGINT, ts TIMESTAMP")


def start(frame: DataFrame) -> None:
    frame.writeStream.format("memory").queryName("never").start()


def test_a_number_is_no_time(stream: DataFrame) -> None:
    with pytest.raises(AnalysisException) as error:
        start(stream.withWatermark("id", "1 second"))
    assert str(error.value).startswith(
        '[EVENT_TIME_IS_NOT_ON_TIMESTAMP_TYPE] The event time `id` has the invalid type "BIGINT", but expected '
        '"TIMESTAMP". SQLSTATE: 42K09'
    )


def test_a_field_of_a_struct_is_not_at_the_top(stream: DataFrame) -> None:
    with pytest.raises(AnalysisException, match="EVENT_TIME_MUST_BE_TOP_LEVEL_COLUMN.*'s.ts' is a nested field"):
        start(stream.select(F.struct("ts").alias("s")).withWatermark("s.ts", "1 second"))


def test_the_column_must_exist(stream: DataFrame) -> None:
    with pytest.raises(AnalysisException, match="UNRESOLVED_COLUMN.WITH_SUGGESTION.*`nope`"):
        start(stream.withWatermark("nope", "1 second"))


def test_columns_of_a_marked_stream_can_be_named_by_it(stream: DataFrame) -> None:
    marked = stream.withWatermark("ts", "1 second")
    assert marked.select(marked.id, stream.ts).columns == ["id", "ts"]
