"""Kafka in batches: reads of a range of offsets, and writes; the same on riacho and on Spark."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pyspark.errors import AnalysisException, IllegalArgumentException, PySparkException
from pyspark.sql import DataFrame, SparkSession

from tests.connectors.topics import TIME_MS, Kafka, offsets
from tests.spec.support import said


def read(spark: SparkSession, kafka: Kafka, **options: Any) -> DataFrame:
    """`_` in a name is a dot."""
    named = {name.replace("_", "."): value for name, value in options.items()}
    return spark.read.format("kafka").options(**{"kafka.bootstrap.servers": kafka.bootstrap, **named}).load()


def values(frame: DataFrame) -> list[str]:
    return sorted(row[0] for row in frame.selectExpr("CAST(value AS STRING)").collect())


def write(frame: DataFrame, kafka: Kafka, mode: str = "append", **options: Any) -> None:
    named = {name.replace("_", "."): value for name, value in options.items()}
    frame.write.format("kafka").option("kafka.bootstrap.servers", kafka.bootstrap).options(**named).mode(mode).save()


def refusal(call: Callable[[], object], kind: type[PySparkException] = IllegalArgumentException) -> str:
    with pytest.raises(kind) as caught:
        call()
    return said(caught.value)


@pytest.fixture
def filled(kafka: Kafka) -> str:
    """Two partitions, five messages each, a millisecond apart."""
    topic = kafka.topic(2)
    for partition in (0, 1):
        kafka.produce(topic, [f"{partition}{number}" for number in range(5)], partition)
    return topic


def test_a_range_of_offsets(spark: SparkSession, kafka: Kafka, filled: str) -> None:
    def found(**options: Any) -> list[str]:
        return values(read(spark, kafka, subscribe=filled, **options))

    assert len(found()) == 10
    assert found(startingOffsets=offsets(filled, 4, -2), endingOffsets=offsets(filled, -1, 1)) == ["04", "10"]
    assert found(startingTimestamp=TIME_MS + 3) == ["03", "04", "13", "14"]
    assert found(startingTimestamp=TIME_MS + 1, endingTimestamp=TIME_MS + 2) == ["01", "11"]
    start, end = offsets(filled, TIME_MS + 4, TIME_MS), offsets(filled, TIME_MS + 99, TIME_MS + 1)
    assert found(startingOffsetsByTimestamp=start, endingOffsetsByTimestamp=end) == ["04", "10"]
    assert found(startingTimestamp=TIME_MS + 99, startingOffsetsByTimestampStrategy="latest") == []
    assert found(minPartitions=7, maxRecordsPerPartition=2, maxOffsetsPerTrigger=1, includeHeaders="true")[0] == "00"


def test_a_read_is_read_anew_and_takes_part_in_queries(spark: SparkSession, kafka: Kafka, filled: str) -> None:
    frame = read(spark, kafka, subscribe=filled)
    frame.createOrReplaceTempView("kafka_messages")
    assert spark.sql("SELECT count(*) FROM kafka_messages WHERE partition = 1").collect()[0][0] == 5
    kafka.produce(filled, ["new"], 1)
    assert spark.sql("SELECT count(*) FROM kafka_messages WHERE partition = 1").collect()[0][0] == 6
    joined = frame.alias("a").join(frame.alias("b"), ["partition", "offset"])
    assert joined.count() == 11


def test_ranges_that_are_refused(spark: SparkSession, kafka: Kafka, filled: str) -> None:
    def refused(**options: Any) -> str:
        return refusal(lambda: read(spark, kafka, subscribe=filled, **options).schema)

    def fails(**options: Any) -> PySparkException:
        with pytest.raises(PySparkException) as caught:
            read(spark, kafka, **{"subscribe": filled, **options}).count()
        return caught.value

    assert refused(startingOffsets="latest") == "starting offset can't be latest for batch queries on Kafka"
    assert refused(endingOffsets="earliest") == "ending offset can't be earliest for batch queries on Kafka"
    assert refused(startingOffsets=offsets(filled, -1, 0)) == (
        f"startingOffsets for {filled}-0 can't be latest for batch queries on Kafka"
    )
    assert refused(endingOffsets=offsets(filled, -2, 0)) == (
        f"ending offset for {filled}-0 can't be earliest for batch queries on Kafka"
    )
    assert refused(startingOffsets=offsets(filled, 4, 0), endingOffsets=offsets(filled, 2, 1)) == (
        f"The specified start offset 4 is greater than the end offset 2 for topic {filled} partition 0."
    )
    assert refused(startingOffsets=offsets(filled, 4, 0), endingOffsets=offsets(filled, 5)) == (
        "The specified start offset and end offset should have the same topic-partitions.\n"
        f"Topic-partitions for start offset: {filled}-0, {filled}-1, topic-partitions for end offset: {filled}-0."
    )
    missing = fails(startingOffsets=offsets(filled, 0))
    assert missing.getCondition() == "KAFKA_START_OFFSET_DOES_NOT_MATCH_ASSIGNED"
    assert f"Specified: Set({filled}-0) Assigned: Set({filled}-0, {filled}-1)" in said(missing)
    times = fails(startingOffsetsByTimestamp=offsets(filled, TIME_MS))
    assert times.getCondition() == "KAFKA_TIMESTAMP_OFFSET_DOES_NOT_MATCH_ASSIGNED"
    beyond = fails(startingOffsets=offsets(filled, 100, 0))
    assert beyond.getCondition() == "RESOLVED_START_OFFSET_GREATER_THAN_END_OFFSET"
    assert "The resolved start offset 100 is greater than the resolved end offset 5 for topic" in said(beyond)
    late = fails(startingTimestamp=TIME_MS + 99)
    assert f"No offset matched from request of topic-partition {filled}-" in said(late)
    beyond_it = {"endingOffsets": offsets(filled, 100, 0), "kafkaConsumer_pollTimeoutMs": 2000}
    lost = fails(**beyond_it)
    assert lost.getCondition() == "KAFKA_DATA_LOSS.COULD_NOT_READ_OFFSET_RANGE"
    assert f"Could not read records in offset [5, 100) for topic partition {filled}-0" in said(lost)
    allowed = read(spark, kafka, subscribe=filled, **beyond_it, failOnDataLoss="false")
    assert allowed.count() == 5
    declared = spark.read.format("kafka").schema("a INT").option("kafka.bootstrap.servers", kafka.bootstrap)
    mismatch = refusal(lambda: declared.option("subscribe", filled).load().count(), AnalysisException)
    assert "user-specified: a INT, actual: key BINARY,value BINARY,topic STRING,partition INT,offset" in mismatch
    gone = fails(subscribe=f"{filled}-none")
    assert "UnknownTopicOrPartitionException: This server does not host this topic-partition." in said(gone)


def test_rows_become_messages(spark: SparkSession, kafka: Kafka) -> None:
    one, two = kafka.topic(3), kafka.topic(1)
    spark.sql(
        f"""SELECT * FROM VALUES
            ('{one}', 'k', CAST('v' AS BINARY), 2, array(struct('h' AS key, CAST('x' AS BINARY) AS value))),
            ('{one}', NULL, NULL, 1, NULL),
            ('{two}', 'k', CAST('w' AS BINARY), NULL, array()) AS t(topic, key, value, partition, headers)"""
    ).createOrReplaceTempView("rows_to_write")
    rows = spark.table("rows_to_write")
    write(rows, kafka)
    found = [(m.topic(), m.partition(), m.key(), m.value(), m.headers()) for m in kafka.messages(one)]
    assert sorted(found, key=repr) == [
        (one, 1, None, None, None),
        (one, 2, b"k", b"v", [("h", b"x")]),
    ]
    assert [m.value() for m in kafka.messages(two)] == [b"w"]
    write(rows.drop("headers", "partition"), kafka, topic=f" {two} ", includeHeaders="true")
    assert kafka.values(two) == ["", "v", "w", "w"], "the option goes before the column"
    write(spark.sql("SELECT 'first' AS value, 'second' AS value"), kafka, topic=two)
    assert "first" in kafka.values(two)
    for header in (
        "named_struct('key', CAST(NULL AS STRING), 'value', X'61')",
        "CAST(NULL AS STRUCT<key STRING, value BINARY>)",
    ):
        headed = spark.sql(f"SELECT 'no' AS value, array({header}) AS headers")
        with pytest.raises(PySparkException):
            write(headed, kafka, topic=two)
    assert "no" not in kafka.values(two)


def test_keys_go_where_java_sends_them(spark: SparkSession, kafka: Kafka) -> None:
    """The same key is always in the same partition, whoever wrote it."""
    topic = kafka.topic(7)
    write(spark.range(50).selectExpr("CAST(id AS STRING) AS key", "'' AS value"), kafka, topic=topic)
    partitions = {int(m.key() or b""): m.partition() for m in kafka.messages(topic)}
    assert [partitions[key] for key in range(20)] == [3, 2, 2, 5, 6, 1, 3, 1, 2, 1, 6, 2, 4, 5, 0, 1, 6, 4, 5, 0]


def test_a_million_bytes_and_many_rows(spark: SparkSession, kafka: Kafka) -> None:
    topic = kafka.topic(4)
    write(spark.range(20_000).selectExpr("CAST(id AS STRING) AS value"), kafka, topic=topic)
    assert values(read(spark, kafka, subscribe=topic)) == sorted(str(number) for number in range(20_000))
    large = spark.sql("SELECT repeat('x', 2000000) AS value")
    with pytest.raises(PySparkException, match="RecordTooLargeException"):
        write(large, kafka, topic=topic)
    big = kafka.topic(1, max_message_bytes="5000000")
    settings: Any = {
        "kafka_max_request_size": 5_000_000,
        "kafka_compression_type": "zstd",
        "kafka_buffer_memory": 33554432,
    }
    write(large, kafka, topic=big, **settings, kafka_acks="1", kafka_linger_ms="1", kafka_batch_size="1000")
    assert [len(m.value() or b"") for m in kafka.messages(big)] == [2_000_000]


def test_writes_that_are_refused(spark: SparkSession, kafka: Kafka) -> None:
    topic = kafka.topic(1)

    def refused(query: str, mode: str = "append", **options: Any) -> str:
        return refusal(lambda: write(spark.sql(query), kafka, mode, **options), AnalysisException)

    modes = "Allowed save modes are Append and ErrorIfExists (default)."
    assert refused("SELECT 'v' value", "overwrite", topic=topic) == (
        f"Save mode Overwrite not allowed for Kafka. {modes}"
    )
    assert refused("SELECT 'v' value", "ignore", topic=topic) == f"Save mode Ignore not allowed for Kafka. {modes}"
    assert refused("SELECT 'v' value") == (
        "topic option required when no 'topic' attribute is present. Use the topic option for setting a topic."
    )
    assert refused("SELECT 'v' VALUE", topic=topic) == "Required attribute 'value' not found"
    for column, query, found, wanted in (
        ("value", "SELECT 1 value", "int", "string or binary"),
        ("key", "SELECT 1L key, 'v' value", "bigint", "string or binary"),
        ("partition", "SELECT 1L partition, 'v' value", "bigint", "int"),
        ("headers", "SELECT 'a' headers, 'v' value", "string", "array<struct<key:string,value:binary>>"),
        (
            "headers",
            "SELECT array(struct('a' AS x, 1 AS value)) headers, 'v' value",
            "array<struct<x:string,value:int>>",
            "array<struct<key:string,value:binary>>",
        ),
    ):
        assert refused(query, topic=topic) == (
            f"{column} attribute unsupported type {found}. {column} must be a(n) {wanted}"
        )
    null_topic = spark.sql("SELECT CAST(NULL AS STRING) topic, 'v' value")
    with pytest.raises(PySparkException, match="contains a null topic. Use the `topic` option for"):
        write(null_topic, kafka)
    plain = spark.sql("SELECT 'v' value")
    with pytest.raises(PySparkException, match="Kafka option bootstrap.servers is not set. Please make sure it is"):
        plain.write.format("kafka").option("topic", topic).save()
    serializer = refusal(lambda: write(plain, kafka, topic=topic, kafka_key_serializer="x"))
    assert serializer == (
        "Kafka option 'key.serializer' is not supported as keys are serialized with ByteArraySerializer."
    )
    with pytest.raises(PySparkException, match="InvalidTopicException"):
        write(plain, kafka, topic="no name!")
    write(plain, kafka, "error", topic=topic)
    assert kafka.values(topic) == ["v"], "what is refused sends nothing"
