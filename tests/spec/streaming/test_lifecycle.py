"""A query from start to stop: its names, its identity across starts, and who can see it."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from pyspark.errors import IllegalArgumentException
from pyspark.sql import SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from tests.spec.conftest import NewSession
from tests.spec.support import files, finish, ids, last_progress, write_json


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    return write_json(tmp_path / "landing" / "1.json", [{"id": 1}, {"id": 2}]).parent


def start(spark: SparkSession, landing: Path, checkpoint: Path, name: str | None = None) -> StreamingQuery:
    writer = files(spark, landing).writeStream.format("noop").option("checkpointLocation", str(checkpoint))
    return (writer.queryName(name) if name else writer).start()


def test_a_started_query_is_active_until_it_is_stopped(spark: SparkSession, landing: Path, tmp_path: Path) -> None:
    query = start(spark, landing, tmp_path / "checkpoint", name="numbers")

    assert query.isActive
    assert query.name == "numbers"
    assert {str(uuid.UUID(query.id)), str(uuid.UUID(query.runId))} == {query.id, query.runId}
    assert query.id != query.runId
    assert [q.id for q in spark.streams.active] == [query.id]

    query.stop()
    assert not query.isActive
    assert query.exception() is None
    assert spark.streams.active == []


def test_stopping_twice_is_no_error(spark: SparkSession, landing: Path, tmp_path: Path) -> None:
    query = start(spark, landing, tmp_path / "checkpoint")
    query.stop()
    query.stop()
    assert query.awaitTermination(1)


def test_a_query_without_a_name_has_none(spark: SparkSession, landing: Path, tmp_path: Path) -> None:
    assert start(spark, landing, tmp_path / "checkpoint").name is None


def test_the_id_belongs_to_the_checkpoint_and_the_run_id_to_the_start(
    spark: SparkSession, landing: Path, tmp_path: Path
) -> None:
    first = start(spark, landing, tmp_path / "checkpoint")
    first.stop()
    second = start(spark, landing, tmp_path / "checkpoint")

    assert second.id == first.id
    assert second.runId != first.runId


def test_a_new_checkpoint_is_a_new_query(spark: SparkSession, landing: Path, tmp_path: Path) -> None:
    first = start(spark, landing, tmp_path / "one")
    second = start(spark, landing, tmp_path / "two")

    assert first.id != second.id
    assert {q.id for q in spark.streams.active} == {first.id, second.id}


def test_a_query_can_be_found_by_its_id_while_it_runs(spark: SparkSession, landing: Path, tmp_path: Path) -> None:
    query = start(spark, landing, tmp_path / "checkpoint", name="numbers")
    found = spark.streams.get(query.id)
    assert found is not None
    assert (found.id, found.runId, found.name) == (query.id, query.runId, "numbers")

    query.stop()
    assert spark.streams.get(query.id) is None


def test_two_active_queries_may_not_share_a_name(spark: SparkSession, landing: Path, tmp_path: Path) -> None:
    start(spark, landing, tmp_path / "one", name="numbers")
    with pytest.raises(IllegalArgumentException, match="Cannot start query with name numbers"):
        start(spark, landing, tmp_path / "two", name="numbers")


def test_a_name_is_free_again_after_the_stop(spark: SparkSession, landing: Path, tmp_path: Path) -> None:
    start(spark, landing, tmp_path / "one", name="numbers").stop()
    assert start(spark, landing, tmp_path / "two", name="numbers").isActive


def test_starting_on_a_checkpoint_in_use_stops_the_run_that_uses_it(
    spark: SparkSession, landing: Path, tmp_path: Path
) -> None:
    first = start(spark, landing, tmp_path / "checkpoint")
    second = start(spark, landing, tmp_path / "checkpoint")

    assert not first.isActive
    assert second.isActive


def test_a_session_sees_only_its_own_queries(new_session: NewSession, landing: Path, tmp_path: Path) -> None:
    mine, other = new_session(), new_session()
    query = start(mine, landing, tmp_path / "checkpoint")

    assert other.streams.active == []
    assert other.streams.get(query.id) is None


def test_rows_that_land_while_the_query_runs_are_read(spark: SparkSession, landing: Path, tmp_path: Path) -> None:
    query = files(spark, landing).writeStream.format("memory").queryName("seen").start()
    query.processAllAvailable()
    assert ids(spark.table("seen")) == [1, 2]

    write_json(landing / "2.json", [{"id": 3}])
    query.processAllAvailable()
    assert ids(spark.table("seen")) == [1, 2, 3]


def test_a_query_that_ended_by_itself_still_answers(spark: SparkSession, landing: Path, tmp_path: Path) -> None:
    query = finish(
        files(spark, landing)
        .writeStream.format("noop")
        .option("checkpointLocation", str(tmp_path / "checkpoint"))
        .trigger(availableNow=True)
        .start()
    )

    assert not query.isActive
    assert query.exception() is None
    assert last_progress(query).numInputRows == 2
