"""Kill the server or the engine after each step of a batch, or stop the broker meanwhile: every message once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from deltalake import DeltaTable
from pyspark.errors import StreamingQueryException
from pyspark.sql import SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from riacho.server.streaming.batch import BatchStep
from riacho.testing.kafka import KafkaBroker
from riacho.testing.servers import riacho_server
from tests.connectors.topics import Kafka
from tests.connectors.victim import ROWS
from tests.spec.support import until

ROOT = Path(__file__).resolve().parents[2]
VICTIM = Path(__file__).with_name("victim.py")
BATCHES = 3
LIMIT_S = 90
EVERY_VALUE = sorted(str(number) for number in range(BATCHES * ROWS))


@pytest.fixture(scope="module")
def source(broker: KafkaBroker) -> str:
    """A topic that is read in three batches."""
    kafka = Kafka(broker.bootstrap)
    topic = kafka.topic(2)
    for partition in (0, 1):
        kafka.produce(topic, EVERY_VALUE[partition::2], partition)
    return topic


def run(folder: Path, kafka: Kafka, source: str, sink: str, *orders: str) -> int:
    command = [sys.executable, str(VICTIM), str(folder), kafka.bootstrap, source, sink, *orders]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"}
    return subprocess.run(command, timeout=LIMIT_S, check=False, env=environment).returncode


def in_table(folder: Path) -> list[str]:
    found = DeltaTable(folder / "table").to_pyarrow_table(columns=["value"])["value"].to_pylist()
    return sorted(value.decode() for value in found)


@pytest.mark.parametrize("step", [step.value for step in BatchStep])
def test_a_killed_server_loses_and_doubles_nothing_in_kafka(
    tmp_path: Path, kafka: Kafka, source: str, step: str
) -> None:
    sink = kafka.topic(2)
    assert run(tmp_path, kafka, source, sink, "server", step, "1") == -signal.SIGKILL
    assert run(tmp_path, kafka, source, sink) == 0
    assert kafka.values(sink) == EVERY_VALUE


@pytest.mark.parametrize("step", [BatchStep.PLANNED.value, BatchStep.READ.value, BatchStep.WRITTEN.value])
def test_a_killed_server_loses_and_doubles_nothing_in_delta(
    tmp_path: Path, kafka: Kafka, source: str, step: str
) -> None:
    assert run(tmp_path, kafka, source, "delta", "server", step, "1") == -signal.SIGKILL
    assert run(tmp_path, kafka, source, "delta") == 0
    assert in_table(tmp_path) == EVERY_VALUE
    assert len(DeltaTable(tmp_path / "table").history()) == BATCHES


@pytest.mark.parametrize("step", [BatchStep.LOGGED.value, BatchStep.RAN.value, BatchStep.WRITTEN.value])
def test_a_killed_engine_costs_a_repeated_batch_at_most(tmp_path: Path, kafka: Kafka, source: str, step: str) -> None:
    sink = kafka.topic(1)
    assert run(tmp_path, kafka, source, sink, "engine", step, "1") == 0
    assert kafka.values(sink) == EVERY_VALUE


@pytest.fixture
def spark(tmp_path: Path) -> Iterator[SparkSession]:
    """A session on a riacho of the test's own: one that waits for a broker is not to disturb others."""
    with riacho_server(tmp_path / "riacho") as server:
        session = SparkSession.builder.remote(server.url).create()
        yield session
        for query in session.streams.active:
            query.stop()
        session.stop()


def start(spark: SparkSession, kafka: Kafka, folder: Path, topic: str, **options: Any) -> StreamingQuery:
    reader = spark.readStream.format("kafka").option("kafka.bootstrap.servers", kafka.bootstrap)
    frame = reader.option("subscribe", topic).option("startingOffsets", "earliest").options(**options).load()
    writer = frame.writeStream.format("delta").option("checkpointLocation", str(folder / "checkpoint"))
    return writer.start(str(folder / "table"))


def test_a_broker_that_stops_and_comes_back(spark: SparkSession, own_broker: KafkaBroker, tmp_path: Path) -> None:
    kafka = Kafka(own_broker.bootstrap)
    topic, copy = kafka.topic(1), kafka.topic(1)
    kafka.produce(topic, ["a"])
    query = start(spark, kafka, tmp_path, topic)
    until(query, (tmp_path / "table" / "_delta_log" / f"{0:020}.json").exists)
    source = spark.readStream.format("delta").load(str(tmp_path / "table"))
    writer = source.writeStream.format("kafka").option("kafka.bootstrap.servers", kafka.bootstrap)
    writer = writer.option("topic", copy).option("riacho.exactlyOnce", "true")
    back = writer.option("checkpointLocation", str(tmp_path / "back")).start()
    until(back, lambda: kafka.values(copy) == ["a"])
    own_broker.stop()
    own_broker.start()
    kafka.produce(topic, ["b", "c"])
    until(query, lambda: in_table(tmp_path) == ["a", "b", "c"])
    until(back, lambda: kafka.values(copy) == ["a", "b", "c"])


def test_a_broker_that_stays_away(spark: SparkSession, own_broker: KafkaBroker, tmp_path: Path) -> None:
    """A query gives up after its limit, and can be stopped before."""
    kafka = Kafka(own_broker.bootstrap)
    topic = kafka.topic(1)
    kafka.produce(topic, ["a"])
    patient = start(spark, kafka, tmp_path / "1", topic)
    hasty = start(
        spark,
        kafka,
        tmp_path / "2",
        topic,
        **{"kafka.default.api.timeout.ms": "500", "fetchOffset.numRetries": "2", "fetchOffset.retryIntervalMs": "10"},
    )
    for query in (patient, hasty):
        query.processAllAvailable()
    own_broker.stop()
    with pytest.raises(StreamingQueryException, match="TimeoutException"):
        hasty.awaitTermination(30)
    began = time.monotonic()
    patient.stop()
    assert time.monotonic() - began < 15
    assert patient.exception() is None


def test_a_query_shows_in_tools_that_watch_lag(spark: SparkSession, kafka: Kafka, tmp_path: Path) -> None:
    topic, group = kafka.topic(2), f"g-{uuid4().hex[:8]}"
    kafka.produce(topic, ["a", "b"])
    query = start(spark, kafka, tmp_path, topic, **{"riacho.offsetsGroup": group})
    query.processAllAvailable()
    wait(lambda: kafka.committed(group, topic, [0, 1]) == [2, 0])
    kafka.produce(topic, ["c"], partition=1)
    query.processAllAvailable()
    wait(lambda: kafka.committed(group, topic, [0, 1]) == [2, 1])
    assert in_table(tmp_path) == ["a", "b", "c"]


def wait(condition: Callable[[], bool]) -> None:
    Kafka._until(condition)
