"""Streams into Kafka: the same on riacho and on Spark, and what only riacho has: each batch exactly once."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from pyspark.errors import AnalysisException, StreamingQueryException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from tests.connectors.topics import Kafka
from tests.spec.support import files, finish, last_progress, said, write_json


def run(frame: DataFrame, kafka: Kafka, folder: Path, mode: str = "append", **options: Any) -> StreamingQuery:
    """All that there is now; `_` in the name of an option is a dot."""
    named = {name.replace("_", "."): value for name, value in options.items()}
    writer = frame.writeStream.format("kafka").outputMode(mode).trigger(availableNow=True)
    writer = writer.option("kafka.bootstrap.servers", kafka.bootstrap).options(**named)
    return finish(writer.option("checkpointLocation", str(folder / "checkpoint")).start())


def numbers(spark: SparkSession, folder: Path, *columns: str, **options: Any) -> DataFrame:
    """A stream of rows with an id, one file a batch."""
    frame = files(spark, folder / "in", maxFilesPerTrigger=1, **options)
    return frame.selectExpr(*(columns or ("CAST(id AS STRING) AS value",)))


def put(folder: Path, name: str, *ids: int) -> None:
    write_json(folder / "in" / f"{name}.json", [{"id": each} for each in ids])


def test_each_batch_becomes_messages(spark: SparkSession, kafka: Kafka, tmp_path: Path) -> None:
    topic, other = kafka.topic(2), kafka.topic(1)
    put(tmp_path, "a", 1, 2, 3)
    columns = (
        f"IF(id = 3, '{other}', '{topic}') AS topic",
        "CAST(id AS STRING) AS key",
        "CAST(concat('v', id) AS BINARY) AS value",
        "IF(id = 3, 0, 1) AS partition",
        "array(struct('id' AS key, CAST(CAST(id AS STRING) AS BINARY) AS value)) AS headers",
    )
    query = run(numbers(spark, tmp_path, *columns), kafka, tmp_path)
    sink = last_progress(query).sink
    assert sink.description.startswith("org.apache.spark.sql.kafka010.KafkaSourceProvider$KafkaTable")
    assert sink.numOutputRows == 3
    assert [(m.partition(), m.key(), m.value(), m.headers()) for m in kafka.messages(topic)] == [
        (1, b"1", b"v1", [("id", b"1")]),
        (1, b"2", b"v2", [("id", b"2")]),
    ]
    assert kafka.values(other) == ["v3"]
    put(tmp_path, "b", 3)
    run(numbers(spark, tmp_path, *columns), kafka, tmp_path)
    assert kafka.values(other) == ["v3", "v3"]


def test_every_output_mode(spark: SparkSession, kafka: Kafka, tmp_path: Path) -> None:
    put(tmp_path, "a", 1, 2)
    put(tmp_path, "b", 2)
    counts = files(spark, tmp_path / "in", maxFilesPerTrigger=1).groupBy("id").count()
    shown = counts.selectExpr("concat(id, ':', count) AS value")
    for mode, expected in (("update", ["1:1", "2:1", "2:2"]), ("complete", ["1:1", "1:1", "2:1", "2:2"])):
        topic = kafka.topic(1)
        run(shown, kafka, tmp_path / mode, mode, topic=topic)
        assert kafka.values(topic) == expected


def test_what_is_refused(spark: SparkSession, kafka: Kafka, tmp_path: Path) -> None:
    put(tmp_path, "a", 1)
    topic = kafka.topic(1)

    def failed(name: str, *columns: str, **options: Any) -> str:
        with pytest.raises(StreamingQueryException) as caught:
            run(numbers(spark, tmp_path, *columns), kafka, tmp_path / name, **options)
        return said(caught.value)

    assert "topic option required when no 'topic' attribute is present. Use the topic option" in failed("1")
    assert "Required attribute 'value' not found" in failed("2", "CAST(id AS STRING) AS key", topic=topic)
    assert "value attribute unsupported type bigint. value must be a(n) string or binary" in failed(
        "3", "id AS value", topic=topic
    )
    assert "contains a null topic. Use the `topic` option for setting a default topic." in failed(
        "4", "CAST(NULL AS STRING) AS topic", "'v' AS value"
    )
    assert "Kafka option 'value.serializer' is not supported as value are serialized with" in failed(
        "5", topic=topic, kafka_value_serializer="x"
    )
    writer = numbers(spark, tmp_path).writeStream.format("kafka").trigger(availableNow=True).option("topic", topic)
    with pytest.raises(StreamingQueryException, match="Kafka option bootstrap.servers is not set. Please make sure"):
        finish(writer.option("checkpointLocation", str(tmp_path / "6")).start())
    homeless = numbers(spark, tmp_path).writeStream.format("kafka").option("topic", topic)
    with pytest.raises(AnalysisException, match="checkpointLocation must be specified either"):
        homeless.option("kafka.bootstrap.servers", kafka.bootstrap).start()


def test_from_kafka_to_kafka(spark: SparkSession, kafka: Kafka, tmp_path: Path) -> None:
    source, sink = kafka.topic(2), kafka.topic(2)
    kafka.produce(source, [f"{number}" for number in range(10)])
    frame = spark.readStream.format("kafka").option("kafka.bootstrap.servers", kafka.bootstrap)
    messages = frame.option("subscribe", source).option("startingOffsets", "earliest").load()
    run(messages.select("key", "value"), kafka, tmp_path, topic=sink)
    assert sorted(m.key() or b"" for m in kafka.messages(sink)) == [f"k{number}".encode() for number in range(10)]


@pytest.mark.riacho_only
def test_a_repeated_batch_is_seen_once(spark: SparkSession, kafka: Kafka, tmp_path: Path) -> None:
    """Without its commit log a batch is written again: at least once by default, and exactly once if asked."""
    put(tmp_path, "a", 1, 2)
    put(tmp_path, "b", 3)
    folder, topic, options = tmp_path, "", {}
    for exactly_once, expected in (("false", ["1", "2", "3", "3"]), ("true", ["1", "2", "3"])):
        folder, topic = tmp_path / exactly_once, kafka.topic(2)
        options = {"topic": topic, "riacho.exactlyOnce": exactly_once}
        run(numbers(spark, tmp_path), kafka, folder, **options)
        (folder / "checkpoint" / "commits" / "1").unlink()
        again = run(numbers(spark, tmp_path), kafka, folder, **options)
        assert kafka.values(topic) == expected
        assert last_progress(again).sink.numOutputRows == (1 if exactly_once == "false" else -1)
    put(tmp_path, "c", 4)
    run(numbers(spark, tmp_path), kafka, folder, **options)
    assert kafka.values(topic) == ["1", "2", "3", "4"], "the next batch is another one"


@pytest.mark.riacho_only
def test_transactions_over_several_topics(spark: SparkSession, kafka: Kafka, tmp_path: Path) -> None:
    topics = [kafka.topic(1), kafka.topic(1)]
    columns = (f"IF(id % 2 = 0, '{topics[0]}', '{topics[1]}') AS topic", "CAST(id AS STRING) AS value")
    for number in range(3):
        put(tmp_path, f"{number}", number)
    named = {"kafka_transactional_id": "riacho-test-several", "kafka_transaction_timeout_ms": "20000"}
    run(numbers(spark, tmp_path, *columns), kafka, tmp_path, **named)
    for gone in ("1", "2"):
        (tmp_path / "checkpoint" / "commits" / gone).unlink()
    (tmp_path / "checkpoint" / "offsets" / "2").unlink()
    run(numbers(spark, tmp_path, *columns), kafka, tmp_path, **named)
    assert kafka.values(topics[0]) == ["0", "2"]
    assert kafka.values(topics[1]) == ["1"]


@pytest.mark.riacho_only
def test_a_batch_that_fails_is_not_seen(spark: SparkSession, kafka: Kafka, tmp_path: Path) -> None:
    topic = kafka.topic(1)
    put(tmp_path, "a", 1)
    put(tmp_path, "b", 2, 3)
    failing = (f"IF(id = 3, CAST(NULL AS STRING), '{topic}') AS topic", "CAST(id AS STRING) AS value")
    with pytest.raises(StreamingQueryException, match="null topic"):
        run(numbers(spark, tmp_path, *failing), kafka, tmp_path, riacho_exactlyOnce="true")
    assert kafka.values(topic) == ["1"]
    run(numbers(spark, tmp_path), kafka, tmp_path, topic=topic, riacho_exactlyOnce="true")
    assert kafka.values(topic) == ["1", "2", "3"]
    shutil.rmtree(tmp_path / "checkpoint")


@pytest.mark.riacho_only
def test_a_zombie_is_fenced(spark: SparkSession, kafka: Kafka, tmp_path: Path) -> None:
    """Of two queries with one name of transactions, the one that started later goes on."""
    topic = kafka.topic(1)
    put(tmp_path, "a", 1)
    named = {"topic": topic, "kafka.transactional.id": "riacho-test-zombie"}
    writer = numbers(spark, tmp_path).writeStream.format("kafka").option("kafka.bootstrap.servers", kafka.bootstrap)
    first = writer.options(**named).option("checkpointLocation", str(tmp_path / "first")).start()
    first.processAllAvailable()
    run(numbers(spark, tmp_path), kafka, tmp_path / "second", **named)
    put(tmp_path, "b", 2)
    with pytest.raises(StreamingQueryException, match="fenced|epoch"):
        first.awaitTermination(60)
    assert kafka.values(topic) == ["1", "1"]
