"""A listener in the client hears of every query of its session: when it starts, moves and ends."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.errors import StreamingQueryException
from pyspark.sql import Row, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.streaming.listener import StreamingQueryListener

from tests.spec.conftest import NewSession
from tests.spec.support import LIMIT_S, files, finish, write_json


class Ear(StreamingQueryListener):
    """Keeps what it hears; `hear` waits for the next event of a kind."""

    def __init__(self) -> None:
        self.events: queue.Queue[tuple[str, Any]] = queue.Queue()
        self._begun: set[str] = set()
        self._ended: set[str] = set()
        self._changed = threading.Condition()

    def leave(self, spark: SparkSession) -> None:
        """Listen no more, once the end of every query was heard.

        PySpark's client waits for ever when an event arrives while it removes its last listener.
        """
        for query in spark.streams.active:
            query.stop()
        with self._changed:
            assert self._changed.wait_for(lambda: self._begun <= self._ended, LIMIT_S)
        spark.streams.removeListener(self)

    def onQueryStarted(self, event: Any) -> None:
        with self._changed:
            self._begun.add(str(event.runId))
        self.events.put(("started", event))

    def onQueryProgress(self, event: Any) -> None:
        self.events.put(("progress", event.progress))

    def onQueryIdle(self, event: Any) -> None:
        self.events.put(("idle", event))

    def onQueryTerminated(self, event: Any) -> None:
        self.events.put(("terminated", event))
        with self._changed:
            self._ended.add(str(event.runId))
            self._changed.notify_all()

    def hear(self, kind: str) -> Any:
        heard, event = self.events.get(timeout=LIMIT_S)
        while heard == "idle" and kind != "idle":
            heard, event = self.events.get(timeout=LIMIT_S)
        assert heard == kind, f"expected {kind}, heard {heard}: {event}"
        return event


@pytest.fixture
def ear(spark: SparkSession) -> Iterator[Ear]:
    listener = Ear()
    spark.streams.addListener(listener)
    yield listener
    listener.leave(spark)


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    return write_json(tmp_path / "landing" / "1.json", [{"id": 7}]).parent


def test_it_hears_the_start_each_batch_and_the_end(spark: SparkSession, landing: Path, ear: Ear) -> None:
    writer = files(spark, landing).writeStream.format("memory").queryName("numbers")
    query = finish(writer.trigger(availableNow=True).start())

    started = ear.hear("started")
    assert (str(started.id), str(started.runId), started.name) == (query.id, query.runId, "numbers")
    progress = ear.hear("progress")
    assert (str(progress.id), progress.batchId, progress.numInputRows) == (query.id, 0, 1)
    ended = ear.hear("terminated")
    assert (str(ended.id), str(ended.runId), ended.exception) == (query.id, query.runId, None)


def test_a_report_that_is_heard_is_the_compact_one(spark: SparkSession, landing: Path, ear: Ear) -> None:
    """Its offsets are JSON within JSON, its rates are rounded, and what is empty is left out."""
    writer = files(spark, landing).writeStream.format("memory").queryName("numbers")
    finish(writer.trigger(availableNow=True).start())
    ear.hear("started")
    report = json.loads(ear.hear("progress").json)

    assert report.keys() == {
        "id",
        "runId",
        "name",
        "timestamp",
        "batchId",
        "batchDuration",
        "numInputRows",
        "inputRowsPerSecond",
        "processedRowsPerSecond",
        "durationMs",
        "stateOperators",
        "sources",
        "sink",
    }
    assert report["numInputRows"] == 1
    assert report["sources"][0]["endOffset"] == {"logOffset": 0}
    assert report["processedRowsPerSecond"] == round(report["processedRowsPerSecond"], 1)


def test_the_start_is_heard_before_start_returns(spark: SparkSession, landing: Path, ear: Ear) -> None:
    query = files(spark, landing).writeStream.format("memory").queryName("numbers").start()
    kind, event = ear.events.get_nowait()
    assert (kind, str(event.id)) == ("started", query.id)


def test_it_hears_what_a_query_died_of(spark: SparkSession, landing: Path, ear: Ear) -> None:
    stream = files(spark, landing).selectExpr("raise_error('no place') AS broken")
    query = stream.writeStream.format("memory").queryName("broken").start()
    with pytest.raises(StreamingQueryException, match="no place"):
        query.awaitTermination(LIMIT_S)
    ear.hear("started")
    assert "no place" in ear.hear("terminated").exception


def test_it_hears_a_stop(spark: SparkSession, landing: Path, ear: Ear) -> None:
    query = files(spark, landing).writeStream.format("memory").queryName("numbers").start()
    query.processAllAvailable()
    query.stop()
    ear.hear("started")
    ear.hear("progress")
    assert ear.hear("terminated").exception is None


def test_a_listener_that_was_removed_hears_nothing(spark: SparkSession, landing: Path) -> None:
    listener, witness = Ear(), Ear()
    spark.streams.addListener(listener)
    spark.streams.addListener(witness)
    spark.streams.removeListener(listener)
    files(spark, landing).writeStream.format("memory").queryName("numbers").start()
    witness.hear("started")
    witness.leave(spark)
    assert listener.events.empty()


def test_a_listener_that_fails_harms_nobody(spark: SparkSession, landing: Path, ear: Ear) -> None:
    class Clumsy(Ear):
        def onQueryProgress(self, event: Any) -> None:
            raise ValueError("oops")

    clumsy = Clumsy()
    spark.streams.addListener(clumsy)
    writer = files(spark, landing).writeStream.format("memory").queryName("numbers")
    finish(writer.trigger(availableNow=True).start())
    for kind in ("started", "progress", "terminated"):
        ear.hear(kind)
    spark.streams.removeListener(clumsy)


def test_it_hears_nothing_of_other_sessions(new_session: NewSession, landing: Path) -> None:
    mine, other = new_session(), new_session()
    listener = Ear()
    mine.streams.addListener(listener)
    theirs, ours = (
        finish(
            files(session, landing).writeStream.format("memory").queryName("numbers").trigger(availableNow=True).start()
        )
        for session in (other, mine)
    )
    assert str(listener.hear("started").id) == ours.id != theirs.id
    listener.leave(mine)


def test_it_gets_observed_metrics_by_name(spark: SparkSession, tmp_path: Path, ear: Ear) -> None:
    write_json(tmp_path / "landing" / "1.json", [{"id": 1}, {"id": 3}])
    stream = files(spark, tmp_path / "landing")
    stream = stream.observe("my_event", F.count(F.lit(1)).alias("rc"), F.count("id").alias("erc"))
    stream = stream.observe(
        "all kinds",
        F.sum(F.col("id").cast("DECIMAL(10, 2)")).alias("a decimal"),
        F.max(F.expr("TIMESTAMP '2024-01-02 03:04:05.678'")).alias("time"),
        F.max(F.expr("DATE '2024-01-02'")).alias("day"),
        F.max(F.lit(None).cast("INT")).alias("none"),
        F.max(F.struct(F.col("id"), F.lit("x").alias("text"))).alias("pair"),
        F.max(F.lit(float("nan"))).alias("nan"),
        F.max(F.lit(b"ab")).alias("bytes"),
        F.max(F.lit(1.5)).alias("1.5"),
    )
    counts = stream.groupBy("id").count()  # what stands below an operator with state is watched too
    query = finish(counts.writeStream.format("noop").outputMode("complete").trigger(once=True).start())
    ear.hear("started")
    metrics = ear.hear("progress").observedMetrics
    assert metrics["my_event"] == Row(rc=2, erc=2)
    assert metrics["my_event"].rc == metrics["my_event"]["erc"] == 2
    assert metrics["all kinds"].asDict() == {
        "a decimal": 4.0,
        "time": "2024-01-02 03:04:05",
        "day": "2024-01-02",
        "none": None,
        "pair": {"id": 3, "text": "x"},
        "nan": "NaN",
        "bytes": "YWI=",
        "1.5": 1.5,
    }
    report = query.lastProgress
    assert report is not None
    told = json.loads(report.json)["observedMetrics"]["all kinds"]
    assert told["values"][:4] == [4.0, 1704164645678, 1704153600000, None]
    assert told["values"][4]["values"] == [3, "x"]
    assert [field["name"] for field in told["schema"]["fields"]][:3] == ["a decimal", "time", "day"]
