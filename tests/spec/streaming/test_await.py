"""Waiting for one query, or for any."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.errors import PySparkValueError, StreamingQueryException
from pyspark.sql import SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from tests.spec.support import files, write_json


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    return write_json(tmp_path / "landing" / "1.json", [{"id": 7}]).parent


def start(spark: SparkSession, landing: Path, name: str = "numbers", expression: str = "id") -> StreamingQuery:
    stream = files(spark, landing).selectExpr(f"{expression} AS id")
    return stream.writeStream.format("memory").queryName(name).start()


def test_a_running_query_is_waited_for_no_longer_than_said(spark: SparkSession, landing: Path) -> None:
    assert start(spark, landing).awaitTermination(1) is False


def test_a_stopped_query_is_not_waited_for(spark: SparkSession, landing: Path) -> None:
    query = start(spark, landing)
    query.stop()
    assert query.awaitTermination(60) is True
    query.awaitTermination()


@pytest.mark.parametrize("limit", [0, -1])
def test_the_limit_must_be_positive(spark: SparkSession, landing: Path, limit: int) -> None:
    query = start(spark, landing)
    with pytest.raises(PySparkValueError):
        query.awaitTermination(limit)
    with pytest.raises(PySparkValueError):
        spark.streams.awaitAnyTermination(limit)


def test_any_is_none_while_all_run(spark: SparkSession, landing: Path) -> None:
    start(spark, landing)
    assert spark.streams.awaitAnyTermination(1) is False


def test_any_is_remembered_until_it_is_reset(spark: SparkSession, landing: Path) -> None:
    start(spark, landing, "one")
    start(spark, landing, "two").stop()
    assert spark.streams.awaitAnyTermination(60) is True
    assert spark.streams.awaitAnyTermination(60) is True

    spark.streams.resetTerminated()
    assert spark.streams.awaitAnyTermination(1) is False


def test_any_that_died_raises_until_it_is_reset(spark: SparkSession, landing: Path) -> None:
    start(spark, landing, expression="raise_error('no')")
    for _ in range(2):
        with pytest.raises(StreamingQueryException, match="no"):
            spark.streams.awaitAnyTermination(60)
    spark.streams.resetTerminated()
    assert spark.streams.awaitAnyTermination(1) is False
