"""Writes and queries that do not say where to, and what is said of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.errors import AnalysisException, IllegalArgumentException
from pyspark.sql import SparkSession


@pytest.mark.parametrize("source", ["parquet", "json", "delta"])
def test_a_write_to_an_empty_path(spark: SparkSession, source: str) -> None:
    with pytest.raises(IllegalArgumentException, match="Can not create a Path from an empty string"):
        spark.range(1).write.format(source).save("")


@pytest.mark.parametrize("mode", ["append", "overwrite", "error"])
def test_a_table_of_kafka_is_not_written(spark: SparkSession, mode: str) -> None:
    writer = spark.sql("SELECT 'x' AS value").write.format("kafka").mode(mode)
    with pytest.raises(AnalysisException) as caught:
        writer.option("kafka.bootstrap.servers", "127.0.0.1:1").saveAsTable("written_to_kafka")
    assert caught.value.getCondition() == "_LEGACY_ERROR_TEMP_3081"
    assert (caught.value.getMessageParameters() or {})["mode"] == "Overwrite"


def test_a_query_without_a_checkpoint(spark: SparkSession, tmp_path: Path) -> None:
    rows = spark.readStream.format("rate").load()
    with pytest.raises(AnalysisException) as caught:
        rows.writeStream.format("parquet").start(str(tmp_path / "out"))
    assert caught.value.getCondition() == "_LEGACY_ERROR_TEMP_1298"
    assert caught.value.getMessageParameters() == {"config": "spark.sql.streaming.checkpointLocation"}


def test_a_memory_sink_does_not_go_on(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text("x\n")
    checkpoint = tmp_path / "checkpoint"
    writer = spark.readStream.text(str(tmp_path / "in")).writeStream.format("memory").queryName("does_not_go_on")
    writer = writer.option("checkpointLocation", str(checkpoint)).trigger(availableNow=True)
    assert writer.start().awaitTermination(60)
    with pytest.raises(AnalysisException) as caught:
        writer.start()
    assert caught.value.getCondition() == "_LEGACY_ERROR_TEMP_1299"
    assert caught.value.getMessageParameters() == {"checkpointPath": str(checkpoint / "offsets")}
