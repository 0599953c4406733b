"""A query that dies tells why, to whoever asks and whoever waits."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.errors import StreamingQueryException
from pyspark.sql import SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from tests.spec.conftest import NewSession
from tests.spec.support import files, finish, log_files, write_json

BROKEN = "raise_error(concat('no place for ', id))"


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    return write_json(tmp_path / "landing" / "1.json", [{"id": 7}]).parent


def start(spark: SparkSession, landing: Path, expression: str = BROKEN, **trigger: object) -> StreamingQuery:
    stream = files(spark, landing).selectExpr(f"{expression} AS broken")
    writer = stream.writeStream.format("memory").queryName("broken")
    return (writer.trigger(**trigger) if trigger else writer).start()  # type: ignore[call-overload]


def dead(spark: SparkSession, landing: Path) -> StreamingQuery:
    query = start(spark, landing)
    with pytest.raises(StreamingQueryException, match="no place for 7"):
        query.awaitTermination(60)
    return query


def test_waiting_for_it_raises_what_killed_it(spark: SparkSession, landing: Path) -> None:
    query = start(spark, landing)
    with pytest.raises(StreamingQueryException, match="no place for 7") as raised:
        query.awaitTermination(60)
    message = str(raised.value)
    assert message.startswith(
        f"[STREAM_FAILED] Query [id = {query.id}, runId = {query.runId}] terminated with exception"
    )
    assert raised.value.getCondition() == "STREAM_FAILED"
    assert raised.value.getSqlState() == "XXKST"


def test_its_exception_can_be_asked_for(spark: SparkSession, landing: Path) -> None:
    error = dead(spark, landing).exception()
    assert isinstance(error, StreamingQueryException)
    assert "no place for 7" in str(error)


def test_it_is_not_active_and_its_status_names_the_cause(spark: SparkSession, landing: Path) -> None:
    query = dead(spark, landing)
    assert not query.isActive
    assert query.status["message"].startswith("Terminated with exception: ")
    assert "no place for 7" in query.status["message"]
    assert spark.streams.active == []


def test_processing_all_that_is_available_raises_it_too(spark: SparkSession, landing: Path) -> None:
    query = start(spark, landing)
    with pytest.raises(StreamingQueryException, match="no place for 7"):
        query.processAllAvailable()


def test_stopping_it_is_no_error(spark: SparkSession, landing: Path) -> None:
    query = dead(spark, landing)
    query.stop()
    assert query.exception() is not None


def test_a_batch_that_failed_is_not_committed_and_can_be_run_again(
    spark: SparkSession, landing: Path, tmp_path: Path
) -> None:
    def run(expression: str) -> None:
        stream = files(spark, landing).selectExpr(f"CAST({expression} AS BIGINT) AS value")
        writer = stream.writeStream.format("delta").option("checkpointLocation", str(tmp_path / "c"))
        finish(writer.trigger(availableNow=True).start(str(tmp_path / "out")))

    # While Spark writes files it only says that a task failed.
    with pytest.raises(StreamingQueryException, match="no place for 7|TASK_WRITE_FAILED"):
        run(BROKEN)
    assert log_files(tmp_path / "c" / "offsets") == ["0"]
    assert log_files(tmp_path / "c" / "commits") == []
    run("id")
    assert [row.value for row in spark.read.format("delta").load(str(tmp_path / "out")).collect()] == [7]


def test_one_dead_query_leaves_the_others_alone(spark: SparkSession, landing: Path) -> None:
    healthy = files(spark, landing).writeStream.format("memory").queryName("healthy").start()
    dead(spark, landing)
    healthy.processAllAvailable()
    assert healthy.isActive
    assert [row.id for row in spark.table("healthy").collect()] == [7]


def test_another_session_is_not_told(new_session: NewSession, landing: Path) -> None:
    mine, other = new_session(), new_session()
    dead(mine, landing)
    assert other.streams.awaitAnyTermination(1) is False
