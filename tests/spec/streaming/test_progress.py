"""What a query says of itself: status, and a report for each batch."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from pyspark.sql.streaming.query import StreamingQuery

from tests.spec.support import files, finish, last_progress, until, write_json

OPTIONAL = {"numInputRows", "inputRowsPerSecond", "processedRowsPerSecond"}


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    for number in range(2):
        write_json(tmp_path / "landing" / f"{number}.json", [{"id": number}, {"id": number}])
    return tmp_path / "landing"


@pytest.fixture
def query(spark: SparkSession, landing: Path) -> StreamingQuery:
    """A query that ended after two batches of one file each."""
    stream = files(spark, landing, maxFilesPerTrigger=1)
    return finish(stream.writeStream.format("memory").queryName("numbers").trigger(availableNow=True).start())


def test_a_report_has_these_fields(query: StreamingQuery) -> None:
    report = json.loads(last_progress(query).json)
    assert report.keys() - OPTIONAL == {
        "id",
        "runId",
        "name",
        "timestamp",
        "batchId",
        "batchDuration",
        "durationMs",
        "eventTime",
        "stateOperators",
        "sources",
        "sink",
        "observedMetrics",
    }


def test_a_report_names_its_query(query: StreamingQuery) -> None:
    report = last_progress(query)
    assert (str(report.id), str(report.runId), report.name) == (query.id, query.runId, "numbers")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", report.timestamp)


def test_there_is_a_report_for_each_batch_oldest_first(query: StreamingQuery) -> None:
    assert [(report.batchId, report.numInputRows) for report in query.recentProgress] == [(0, 2), (1, 2)]
    assert last_progress(query).batchId == 1


def test_the_steps_of_a_batch_are_timed(query: StreamingQuery) -> None:
    report = last_progress(query)
    assert report.durationMs.keys() == {
        "triggerExecution",
        "latestOffset",
        "walCommit",
        "getBatch",
        "queryPlanning",
        "addBatch",
        "commitOffsets",
    }
    assert all(ms >= 0 for ms in report.durationMs.values())
    assert report.durationMs["triggerExecution"] >= report.durationMs["addBatch"]
    assert report.batchDuration >= report.durationMs["addBatch"]


def test_a_source_tells_where_it_was_and_is(query: StreamingQuery, landing: Path) -> None:
    first, second = (json.loads(report.json)["sources"][0] for report in query.recentProgress)
    assert first["description"] == second["description"] == f"FileStreamSource[file:{landing}]"
    assert (first["startOffset"], first["endOffset"]) == (None, '{"logOffset":0}')
    assert (second["startOffset"], second["endOffset"]) == ('{"logOffset":0}', '{"logOffset":1}')
    assert first["inputRowsPerSecond"] == 0.0
    assert second["numInputRows"] == 2
    assert second["processedRowsPerSecond"] > 0
    assert second.keys() == {
        "description",
        "startOffset",
        "endOffset",
        "latestOffset",
        "numInputRows",
        "inputRowsPerSecond",
        "processedRowsPerSecond",
        "metrics",
    }


def test_a_sink_tells_what_it_is(query: StreamingQuery) -> None:
    assert json.loads(last_progress(query).json)["sink"] == {
        "description": "MemorySink",
        "numOutputRows": 2,
        "metrics": {},
    }


def test_a_stateless_query_has_no_event_time_and_no_state(query: StreamingQuery) -> None:
    report = last_progress(query)
    assert report.eventTime == {}
    assert report.stateOperators == []


def test_a_query_that_found_nothing_reports_that_once(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    writer = files(spark, tmp_path / "empty").writeStream.format("memory").queryName("nothing")
    query = finish(writer.trigger(availableNow=True).start())
    (report,) = query.recentProgress
    assert (report.batchId, report.numInputRows) == (0, 0)
    assert report.durationMs.keys() == {"latestOffset", "triggerExecution"}
    assert report.sink.numOutputRows == -1


def test_an_idle_query_is_waiting(spark: SparkSession, landing: Path) -> None:
    query = files(spark, landing).writeStream.format("memory").queryName("numbers").start()
    query.processAllAvailable()
    status = query.status
    assert status.keys() == {"message", "isDataAvailable", "isTriggerActive"}
    assert status["isDataAvailable"] is False


def test_a_query_that_waits_for_its_next_trigger_says_so(spark: SparkSession, landing: Path) -> None:
    writer = files(spark, landing).writeStream.format("memory").queryName("numbers")
    query = writer.trigger(processingTime="1 hour").start()
    until(query, lambda: bool(query.recentProgress))
    until(query, lambda: query.status["message"] == "Waiting for next trigger")


def test_a_stopped_query_says_so(spark: SparkSession, landing: Path) -> None:
    query = files(spark, landing).writeStream.format("memory").queryName("numbers").start()
    query.processAllAvailable()
    query.stop()
    assert query.status == {"message": "Stopped", "isDataAvailable": False, "isTriggerActive": False}


def test_metrics_that_were_observed_are_reported(spark: SparkSession, landing: Path) -> None:
    stream = files(spark, landing).observe("watch", F.sum("id").alias("total"), F.count("*").alias("n"))
    query = finish(stream.writeStream.format("memory").queryName("numbers").trigger(availableNow=True).start())
    assert json.loads(last_progress(query).json)["observedMetrics"]["watch"]["values"] == [2, 4]


def test_explain_tells_the_plan(
    spark: SparkSession, landing: Path, query: StreamingQuery, capsys: pytest.CaptureFixture[str]
) -> None:
    query.explain()
    assert "Physical Plan" in capsys.readouterr().out


def test_metrics_of_no_rows_and_of_one_name(spark: SparkSession, landing: Path) -> None:
    none = files(spark, landing).where("id < 0").observe("e", F.count(F.lit(1)).alias("n"), F.sum("id").alias("n"))
    query = finish(none.writeStream.format("noop").trigger(once=True).start())
    assert json.loads(last_progress(query).json)["observedMetrics"]["e"]["values"] == [0, None]
    twice = none.observe("e", F.max("id").alias("m"))
    with pytest.raises(AnalysisException, match="DUPLICATED_METRICS_NAME"):
        twice.writeStream.format("noop").start()
