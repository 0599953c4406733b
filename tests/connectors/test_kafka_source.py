"""Kafka as a stream: the same on riacho and on Spark, against one broker."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pyspark.errors import IllegalArgumentException, StreamingQueryException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.streaming.query import StreamingQuery

from tests.connectors.topics import TIME_MS, Kafka, offsets
from tests.spec.support import batches, finish, last_progress, said, until


def stream(spark: SparkSession, kafka: Kafka, **options: Any) -> DataFrame:
    """`_` in a name is a dot."""
    named = {name.replace("_", "."): value for name, value in options.items()}
    return spark.readStream.format("kafka").options(**{"kafka.bootstrap.servers": kafka.bootstrap, **named}).load()


def start(frame: DataFrame, folder: Path, **trigger: Any) -> StreamingQuery:
    """Into a table in the folder."""
    writer = frame.writeStream.format("delta").option("checkpointLocation", str(folder / "checkpoint"))
    return writer.trigger(**(trigger or {"processingTime": "0 seconds"})).start(str(folder / "table"))


def run(frame: DataFrame, folder: Path) -> StreamingQuery:
    """All that there is now."""
    return finish(start(frame, folder, availableNow=True))


def table(spark: SparkSession, folder: Path) -> DataFrame:
    """What queries in the folder have written."""
    return spark.read.format("delta").load(str(folder / "table"))


def values(spark: SparkSession, folder: Path) -> list[str]:
    if not (folder / "table" / "_delta_log").exists():
        return []
    return sorted(row[0] for row in table(spark, folder).selectExpr("CAST(value AS STRING)").collect())


def failure(query: Callable[[], StreamingQuery]) -> str:
    with pytest.raises(StreamingQueryException) as caught:
        query()
    return said(caught.value)


def test_every_column_of_a_message(spark: SparkSession, kafka: Kafka, tmp_path: Path) -> None:
    topic = kafka.topic(2)
    kafka.produce(topic, ["a", "b"], partition=1)
    producer = kafka.transactional()
    producer.begin_transaction()
    headers: Any = [("h", b"1"), ("h", None)]
    producer.produce(topic, None, None, partition=0, timestamp=TIME_MS, headers=headers)
    producer.commit_transaction()
    frame = stream(spark, kafka, subscribe=topic, startingOffsets="earliest", includeHeaders="true")
    assert frame.schema.simpleString() == (
        "struct<key:binary,value:binary,topic:string,partition:int,offset:bigint,timestamp:timestamp,timestampType:int,"
        "headers:array<struct<key:string,value:binary>>>"
    )
    run(frame, tmp_path)
    shown = table(spark, tmp_path).withColumn("timestamp", F.expr("unix_millis(timestamp)"))
    rows = shown.orderBy("partition", "offset").collect()
    assert [tuple(row) for row in rows] == [
        (None, None, topic, 0, 0, TIME_MS, 0, [("h", bytearray(b"1")), ("h", None)]),
        (bytearray(b"ka"), bytearray(b"a"), topic, 1, 0, TIME_MS, 0, None),
        (bytearray(b"kb"), bytearray(b"b"), topic, 1, 1, TIME_MS + 1, 0, None),
    ]
    assert "headers" not in stream(spark, kafka, subscribe=topic).columns


def test_checkpoint_progress_and_limits(spark: SparkSession, kafka: Kafka, tmp_path: Path) -> None:
    topic = kafka.topic(2)
    kafka.produce(topic, [f"a{number}" for number in range(8)], partition=0)
    kafka.produce(topic, ["b0", "b1"], partition=1)
    frame = stream(spark, kafka, subscribe=topic, startingOffsets="earliest", maxOffsetsPerTrigger=5)
    query = run(frame, tmp_path)
    assert len(values(spark, tmp_path)) == 10
    ends = [json.loads(report.sources[0].endOffset or "null") for report in query.recentProgress]
    assert ends == [{topic: {"0": 4, "1": 1}}, {topic: {"0": 8, "1": 2}}]
    first, last = (report.sources[0] for report in query.recentProgress)
    assert first.description == f"KafkaV2[Subscribe[{topic}]]"
    assert first.startOffset in (None, "null")
    assert json.loads(last.startOffset or "null") == ends[0]
    assert json.loads(first.latestOffset or "null") == ends[1]
    assert first.metrics == {
        "minOffsetsBehindLatest": "1",
        "maxOffsetsBehindLatest": "4",
        "avgOffsetsBehindLatest": "2.5",
    }
    checkpoint = tmp_path / "checkpoint"
    assert (checkpoint / "sources/0/0").read_bytes() == b'\0v1\n{"%b":{"0":0,"1":0}}' % topic.encode()
    assert json.loads((checkpoint / "offsets/1").read_text().splitlines()[-1]) == ends[1]

    kafka.produce(topic, ["c0"], partition=1)
    assert batches(run(frame, tmp_path)) == [1], "a restart goes on where the checkpoint says"
    assert values(spark, tmp_path)[-1] == "c0"


def test_where_a_stream_starts(spark: SparkSession, kafka: Kafka, tmp_path: Path) -> None:
    topic = kafka.topic(2)
    for partition in (0, 1):
        kafka.produce(topic, [f"{partition}{number}" for number in range(4)], partition)

    def started(name: str, **options: Any) -> list[str]:
        run(stream(spark, kafka, subscribe=topic, **options), tmp_path / name)
        return values(spark, tmp_path / name)

    assert started("latest") == []
    assert started("offsets", startingOffsets=offsets(topic, 3, -1)) == ["03"]
    assert started("both", startingOffsets=offsets(topic, -2, 2)) == ["00", "01", "02", "03", "12", "13"]
    assert started("time", startingTimestamp=TIME_MS + 3) == ["03", "13"]
    at = offsets(topic, TIME_MS + 2, TIME_MS + 3)
    assert started("times", startingOffsetsByTimestamp=at, startingOffsets="latest") == ["02", "03", "13"]
    late = {"startingTimestamp": TIME_MS + 100, "startingOffsetsByTimestampStrategy": "latest"}
    assert started("late", **late) == []
    said_of_late = failure(
        lambda: run(stream(spark, kafka, subscribe=topic, startingTimestamp=TIME_MS + 100), tmp_path)
    )
    assert f"No offset matched from request of topic-partition {topic}-" in said_of_late
    missing = stream(spark, kafka, subscribe=topic, startingOffsets=offsets(topic, 3))
    said_of_missing = failure(lambda: run(missing, tmp_path / "missing"))
    assert "If startingOffsets contains specific offsets, you must specify all TopicPartitions." in said_of_missing
    assert f"Specified: Set({topic}-0) Assigned: Set({topic}-0, {topic}-1)" in said_of_missing


def test_which_topics_are_read(spark: SparkSession, kafka: Kafka, tmp_path: Path) -> None:
    stem = f"p{uuid4().hex[:8]}"
    one, two = kafka.topic(2, f"{stem}-one"), kafka.topic(1, f"{stem}.two")
    kafka.produce(one, ["one-0"], 0)
    kafka.produce(one, ["one-1"], 1)
    kafka.produce(two, ["two-0"], 0)
    earliest = {"startingOffsets": "earliest"}

    def read(name: str, **options: Any) -> tuple[str, list[str]]:
        query = run(stream(spark, kafka, **options, **earliest), tmp_path / name)
        return last_progress(query).sources[0].description, values(spark, tmp_path / name)

    everything = ["one-0", "one-1", "two-0"]
    assert read("both", subscribe=f" {one} ,{two},") == (f"KafkaV2[Subscribe[{one}, {two}]]", everything)
    pattern = rf"^{stem}[.-]\w+"
    assert read("pattern", subscribePattern=pattern) == (f"KafkaV2[SubscribePattern[{pattern}]]", everything)
    assigned = json.dumps({one: [1], two: [0, 9]})
    shown = f"KafkaV2[Assign[{one}-1, {two}-0, {two}-9]]"
    assert read("assign", assign=assigned) == (shown, ["one-1", "two-0"])
    nothing = run(stream(spark, kafka, subscribePattern=f"{stem}-none", **earliest), tmp_path / "none")
    assert last_progress(nothing).sources[0].endOffset in (None, "null")
    gone = failure(lambda: run(stream(spark, kafka, subscribe=f"{stem}-none"), tmp_path / "gone"))
    assert "UnknownTopicOrPartitionException: This server does not host this topic-partition." in gone


def test_options_that_are_refused_at_once(spark: SparkSession, kafka: Kafka) -> None:
    def refused(**options: Any) -> str:
        with pytest.raises(IllegalArgumentException) as caught:
            stream(spark, kafka, **options).schema  # noqa: B018 - Connect asks the server for it
        return said(caught.value)

    ways = "subscribe, subscribepattern, assign. See the docs for more details."
    assert refused() == f"One of the following options must be specified for Kafka source: {ways}"
    assert refused(subscribe="a", assign="{}") == (
        f"Only one of the following options can be specified for Kafka source: {ways}"
    )
    assert refused(subscribe=" , ") == "No topics to subscribe to as specified value for option 'subscribe' is ' , '"
    assert refused(assign="a") == "No topicpartitions to assign as specified value for option 'assign' is 'a'"
    assert refused(subscribePattern=" ") == (
        "Pattern to subscribe is empty as specified value for option 'subscribePattern' is ' '"
    )
    assert refused(subscribe="a", minPartitions=0) == "minPartitions must be positive"
    assert refused(subscribe="a", minPartitions="x") == 'For input string: "x"'
    assert refused(subscribe="a", maxRecordsPerPartition=0) == "maxrecordsperpartition must be positive"
    assert refused(subscribe="a", minOffsetsPerTrigger=5, maxOffsetsPerTrigger=2) == (
        "The value of minOffsetPerTrigger(5) is higher than the maxOffsetsPerTrigger(2)."
    )
    assert refused(subscribe="a", includeHeaders="maybe") == 'For input string: "maybe"'
    assert refused(subscribe="a", endingOffsets="latest") == "ending offset not valid in streaming queries"
    assert refused(subscribe="a", endingOffsetsByTimestamp="{}") == "ending timestamp not valid in streaming queries"
    assert "Kafka option 'auto.offset.reset' is not supported.\nInstead set the source option" in refused(
        subscribe="a", kafka_auto_offset_reset="earliest"
    )
    assert refused(subscribe="a", kafka_key_deserializer="x") == (
        "Kafka option 'key.deserializer' is not supported as keys are deserialized as byte arrays with "
        "ByteArrayDeserializer. Use DataFrame operations to explicitly deserialize the keys."
    )
    assert refused(subscribe="a", kafka_enable_auto_commit="true") == (
        "Kafka option 'enable.auto.commit' is not supported"
    )
    assert refused(subscribe="a", kafka_interceptor_classes="x") == (
        "Kafka option 'interceptor.classes' is not supported"
    )
    with pytest.raises(IllegalArgumentException, match="Option 'kafka.bootstrap.servers' must be specified for"):
        spark.readStream.format("kafka").option("subscribe", "a").load().schema  # noqa: B018
    declared = spark.readStream.format("kafka").schema("a INT").option("kafka.bootstrap.servers", "x:1")
    with pytest.raises(IllegalArgumentException, match="Kafka source has a fixed schema and cannot be set with"):
        declared.option("subscribe", "a").load().schema  # noqa: B018


@pytest.mark.parametrize(
    ("option", "value", "text"),
    [
        ("maxOffsetsPerTrigger", "x", 'For input string: "x"'),
        ("maxTriggerDelay", "x", "Failed to parse time string: x"),
        ("failOnDataLoss", "maybe", 'For input string: "maybe"'),
        ("startingOffsets", "middle", 'Expected e.g. {"topicA":{"0":23,"1":-1},"topicB":{"0":-2}}, got middle'),
        ("startingTimestamp", "x", "Expected a single long value, got x"),
        ("startingOffsetsByTimestamp", "x", 'Expected e.g. {"topicA": {"0": 123456789, "1": 123456789},'),
        ("startingOffsetsByTimestampStrategy", "x", "No value found for 'X'"),
        ("kafkaConsumer.pollTimeoutMs", "x", 'For input string: "x"'),
        ("fetchOffset.numRetries", "x", 'For input string: "x"'),
    ],
)
def test_values_that_are_refused_when_the_query_starts(
    spark: SparkSession, kafka: Kafka, tmp_path: Path, option: str, value: str, text: str
) -> None:
    assert text in failure(lambda: run(stream(spark, kafka, subscribe="a", **{option: value}), tmp_path))


def test_settings_of_the_client_are_passed_on(spark: SparkSession, kafka: Kafka, tmp_path: Path) -> None:
    topic = kafka.topic(1)
    kafka.produce(topic, ["a", "b"])
    frame = stream(
        spark,
        kafka,
        subscribe=topic,
        startingOffsets="earliest",
        groupIdPrefix="riacho-test",
        kafka_isolation_level="read_committed",
        kafka_fetch_min_bytes="1",
        kafka_fetch_max_wait_ms="50",
        kafka_max_partition_fetch_bytes="1000000",
        kafka_max_poll_records="10",
        kafka_receive_buffer_bytes="-1",
        kafka_nobody_knows="1",
        **{"kafka.request.timeout.ms": 20_000, "KAFKA.CLIENT.ID": "riacho", "kafka.group.id": "riacho-own"},
    )
    run(frame, tmp_path)
    assert values(spark, tmp_path) == ["a", "b"]


def test_partitions_that_are_added(spark: SparkSession, kafka: Kafka, tmp_path: Path) -> None:
    topic = kafka.topic(1)
    kafka.produce(topic, ["a"])
    query = start(stream(spark, kafka, subscribe=topic, startingOffsets="earliest"), tmp_path)
    query.processAllAvailable()
    kafka.add_partitions(topic, 2)
    kafka.produce(topic, ["b", "c"], partition=1)
    until(query, lambda: len(values(spark, tmp_path)) == 3)
    query.stop()
    assert values(spark, tmp_path) == ["a", "b", "c"]


def test_added_partitions_that_lost_their_begin(spark: SparkSession, kafka: Kafka, tmp_path: Path) -> None:
    topic = kafka.topic(1)
    frame = stream(spark, kafka, subscribe=topic, startingOffsets="earliest")
    run(frame, tmp_path)
    kafka.add_partitions(topic, 2)
    kafka.produce(topic, ["b", "c"], partition=1)
    kafka.forget_before(topic, 1, 1)
    lost = failure(lambda: run(frame, tmp_path))
    assert f"Reason: Added partition {topic}-1 starts from 1 instead of 0." in lost
    again = stream(spark, kafka, subscribe=topic, failOnDataLoss="false")
    run(again, tmp_path)
    assert values(spark, tmp_path) == ["c"]


def test_messages_that_are_gone(spark: SparkSession, kafka: Kafka, tmp_path: Path) -> None:
    topic = kafka.topic(1)
    kafka.produce(topic, ["a"])
    frame = stream(spark, kafka, subscribe=topic, startingOffsets="earliest")
    run(frame, tmp_path)
    kafka.produce(topic, ["b", "c", "d"])
    kafka.forget_before(topic, 0, 3)
    nowhere = frame.writeStream.format("noop").option("checkpointLocation", str(tmp_path / "checkpoint"))
    lost = failure(lambda: finish(nowhere.trigger(availableNow=True).start()))
    assert "Some data may have been lost because they are not available in Kafka any more;" in lost
    assert "Could not read records in offset [1, " in lost
    assert f"for topic partition {topic}-0\nwith consumer group spark-kafka-source-" in lost
    again = stream(spark, kafka, subscribe=topic, failOnDataLoss="false")
    run(again, tmp_path)
    assert values(spark, tmp_path) == ["a", "d"]


def test_a_topic_that_is_made_anew(spark: SparkSession, kafka: Kafka, tmp_path: Path) -> None:
    topic = kafka.topic(1)
    kafka.produce(topic, ["a", "b", "c"])
    frame = stream(spark, kafka, subscribe=topic, startingOffsets="earliest")
    run(frame, tmp_path)
    kafka.delete(topic)
    kafka.topic(1, topic)
    kafka.produce(topic, ["d"])
    lost = failure(lambda: run(frame, tmp_path))
    assert f"Reason: Partition {topic}-0 offset was changed from 3 to 1.\n" in lost
    allowed = stream(spark, kafka, subscribe=topic, failOnDataLoss="false")
    run(allowed, tmp_path)
    kafka.produce(topic, ["e"])
    run(allowed, tmp_path)
    assert values(spark, tmp_path) == ["a", "b", "c", "e"]


def test_a_topic_that_is_deleted(spark: SparkSession, kafka: Kafka, tmp_path: Path) -> None:
    kept, gone = kafka.topic(1), kafka.topic(1)
    kafka.produce(kept, ["a"])
    kafka.produce(gone, ["b"])
    pattern = f"{kept}|{gone}"
    frame = stream(spark, kafka, subscribePattern=pattern, startingOffsets="earliest")
    run(frame, tmp_path)
    assert values(spark, tmp_path) == ["a", "b"]
    kafka.delete(gone)
    kafka.produce(kept, ["c"])
    lost = failure(lambda: run(frame, tmp_path))
    assert f"Reason: Partitions Set({gone}-0) have been deleted." in lost
    allowed = stream(spark, kafka, subscribePattern=pattern, failOnDataLoss="false")
    run(allowed, tmp_path)
    assert values(spark, tmp_path) == ["a", "b", "c"]


def test_transactions_and_what_they_leave_in_the_log(spark: SparkSession, kafka: Kafka, tmp_path: Path) -> None:
    topic = kafka.topic(1)
    producer = kafka.transactional()
    for value, ends in (("kept", producer.commit_transaction), ("aborted", producer.abort_transaction)):
        producer.begin_transaction()
        producer.produce(topic, value)
        producer.flush()
        ends()
    kafka.produce(topic, ["plain"])
    producer.begin_transaction()
    producer.produce(topic, "open")
    producer.flush()
    earliest = {"subscribe": topic, "startingOffsets": "earliest"}
    every = ["aborted", "kept", "open", "plain"]
    one_by_one = stream(spark, kafka, **earliest, maxOffsetsPerTrigger=1)
    query = run(one_by_one, tmp_path / "uncommitted")
    assert values(spark, tmp_path / "uncommitted") == every
    assert sum(batches(query)) == 4
    committed = stream(spark, kafka, **earliest, kafka_isolation_level="read_committed", maxOffsetsPerTrigger=1)
    run(committed, tmp_path / "committed")
    assert values(spark, tmp_path / "committed") == ["kept", "plain"]
    producer.commit_transaction()
    run(committed, tmp_path / "committed")
    assert values(spark, tmp_path / "committed") == ["kept", "open", "plain"]


def test_a_compacted_topic(spark: SparkSession, kafka: Kafka, tmp_path: Path) -> None:
    settings = {"cleanup_policy": "compact", "segment_ms": "100", "min_cleanable_dirty_ratio": "0.01"}
    topic = kafka.topic(1, **settings, max_compaction_lag_ms="100", delete_retention_ms="100")
    for _ in range(3):
        kafka.produce(topic, ["a", "b"])
    kafka.until_compacted(topic, below=7)
    query = run(stream(spark, kafka, subscribe=topic, startingOffsets="earliest", maxOffsetsPerTrigger=2), tmp_path)
    assert values(spark, tmp_path) == ["a", "b", "later"]
    assert json.loads(last_progress(query).sources[0].endOffset or "null") == {topic: {"0": 7}}


def test_a_batch_waits_for_messages(spark: SparkSession, kafka: Kafka, tmp_path: Path) -> None:
    topic = kafka.topic(1)
    frame = stream(
        spark, kafka, subscribe=topic, startingOffsets="earliest", minOffsetsPerTrigger=3, maxTriggerDelay="20s"
    )
    query = start(frame, tmp_path)
    until(query, lambda: bool(query.recentProgress))
    kafka.produce(topic, ["a", "b"])
    kafka.produce(topic, ["c"])
    until(query, lambda: len(values(spark, tmp_path)) == 3)
    query.stop()
    assert batches(query) == [3]


def test_the_columns_of_messages_in_sql(spark: SparkSession, kafka: Kafka, tmp_path: Path) -> None:
    """`offset` is a word of SQL too, and one message that is not text does not stop the query."""
    topic = kafka.topic(1)
    kafka.produce(topic, ['{"a":1}', '{"a":2}'])
    producer = kafka.transactional()
    producer.begin_transaction()
    producer.produce(topic, b"\xff", None)
    producer.commit_transaction()
    stream(spark, kafka, subscribe=topic, startingOffsets="earliest").createOrReplaceTempView("messages")
    query = (
        "SELECT offset AS place, get_json_object(CAST(value AS STRING), '$.a') AS a, offset + 1 AS offset FROM messages"
    )
    run(spark.sql(f"{query} WHERE 1 <= offset"), tmp_path)
    assert sorted(tuple(row) for row in table(spark, tmp_path).collect()) == [(1, "2", 2), (2, None, 3)]
