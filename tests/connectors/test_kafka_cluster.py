"""One program, from Kafka to Delta and from Delta to Kafka, as it stands on riacho and on a cluster of two workers."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from riacho.testing.servers import Server, riacho_server, spark_cluster
from tests.connectors.topics import Kafka

ORACLE = Path(__file__).resolve().parents[2] / ".oracle"
LIMIT_S = 240
MESSAGES = 40


def program(spark: SparkSession, bootstrap: str, source: str, sink: str, folder: Path) -> None:
    """What a user writes."""
    messages = (
        spark.readStream.format("kafka")
        .option("kafka.bootstrap.servers", bootstrap)
        .option("subscribe", source)
        .option("startingOffsets", "earliest")
        .option("maxOffsetsPerTrigger", MESSAGES // 2)
        .load()
    )
    events = messages.select(
        F.col("key").cast("string").alias("id"),
        F.from_json(F.col("value").cast("string"), "n INT, name STRING").alias("event"),
        "partition",
        "offset",
    )
    bronze = (
        events.select("id", "event.*", "partition", "offset")
        .writeStream.format("delta")
        .option("checkpointLocation", str(folder / "bronze-checkpoint"))
        .trigger(availableNow=True)
        .start(str(folder / "bronze"))
    )
    assert bronze.awaitTermination(LIMIT_S)
    even = spark.readStream.format("delta").load(str(folder / "bronze")).where("n % 2 = 0")
    back = (
        even.select(F.col("id").alias("key"), F.to_json(F.struct("n", "name")).alias("value"))
        .writeStream.format("kafka")
        .option("kafka.bootstrap.servers", bootstrap)
        .option("topic", sink)
        .option("riacho.exactlyOnce", "true")  # Spark does not know it, and ignores it
        .option("checkpointLocation", str(folder / "sink-checkpoint"))
        .trigger(availableNow=True)
        .start()
    )
    assert back.awaitTermination(LIMIT_S)


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "start", [riacho_server, lambda folder: spark_cluster(ORACLE, folder)], ids=["riacho", "cluster"]
)
def test_one_program_on_riacho_and_on_a_cluster(
    start: Callable[[Path], AbstractContextManager[Server]], kafka: Kafka, tmp_path: Path
) -> None:
    if not (ORACLE / "laid").exists():
        pytest.skip("Apache Spark is not there: run `make oracle`")
    source, sink = kafka.topic(2), kafka.topic(2)
    for partition in (0, 1):
        numbers = range(partition, MESSAGES, 2)
        kafka.produce(source, [f'{{"n": {number // 2}, "name": "n{number}"}}' for number in numbers], partition)
    with start(tmp_path / "server") as server:
        spark = SparkSession.builder.remote(server.url).create()
        spark.conf.set("spark.sql.session.timeZone", "UTC")
        program(spark, kafka.bootstrap, source, sink, tmp_path)
        assert spark.read.format("delta").load(str(tmp_path / "bronze")).count() == MESSAGES
        spark.stop()
    expected = [f'{{"n":{number // 2},"name":"n{number}"}}' for number in range(MESSAGES) if number // 2 % 2 == 0]
    assert kafka.values(sink) == sorted(expected)
