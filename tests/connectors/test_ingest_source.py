"""What was posted to an endpoint, as Kafka's columns and parsed, in batches and as streams; on riacho and on Spark."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from riacho.connectors.ingest import frames
from riacho.connectors.ingest.log import LogFolder
from riacho.connectors.ingest.writer import EventGroup, LogWriter
from tests.spec.support import batches, finish, rows

RAW = "key BINARY, value BINARY, topic STRING, partition INT, offset BIGINT, timestamp TIMESTAMP, timestampType INT"


class Posted:
    """The log of the endpoint `orders` in a folder."""

    def __init__(self, folder: Path, **how: Any) -> None:
        self.folder = folder
        self._how = how
        self.log = LogWriter(folder / "orders", **how)

    def put(self, *values: str, kind: str = "application/json", key: bytes | None = None) -> None:
        keys = None if key is None else [key] * len(values)
        group = EventGroup([value.encode() for value in values], [("content-type", kind.encode())], keys)
        self.log.append([group]).result(10)
        for path in (self.folder, *self.folder.rglob("*")):
            path.chmod(0o777)

    def numbers(self, start: int, end: int) -> None:
        self.put(*(f'{{"id":{number}}}' for number in range(start, end)))


@pytest.fixture
def orders(tmp_path: Path) -> Iterator[Posted]:
    tmp_path.chmod(0o777)
    posted = Posted(tmp_path / "ingest", segment_bytes=4096)
    yield posted
    posted.log.close()


def load(spark: SparkSession, posted: Posted, schema: str | None = None, **options: Any) -> DataFrame:
    reader = spark.read.format("ingest").option("endpoint", "orders").option("path", str(posted.folder))
    return (reader if schema is None else reader.schema(schema)).options(**options).load()


def stream(spark: SparkSession, posted: Posted, schema: str | None = "id BIGINT", **options: Any) -> DataFrame:
    reader = spark.readStream.format("ingest").option("endpoint", "orders").option("path", str(posted.folder))
    return (reader if schema is None else reader.schema(schema)).options(**options).load()


def start(frame: DataFrame, folder: Path, **trigger: Any) -> StreamingQuery:
    writer = frame.writeStream.format("delta").option("checkpointLocation", str(folder / "checkpoint"))
    return (writer.trigger(**trigger) if trigger else writer).start(str(folder / "table"))


def ids(spark: SparkSession, folder: Path) -> list[int]:
    return sorted(row.id for row in spark.read.format("delta").load(str(folder / "table")).collect())


def failure(frame: DataFrame) -> str:
    with pytest.raises(PySparkException) as raised:
        frame.collect()
    return str(raised.value)


def test_events_have_the_columns_of_kafka(connectors: SparkSession, orders: Posted) -> None:
    orders.put('{"id":1}', '{"id":2}', key=b"k")
    orders.put("text", kind="text/plain")
    frame = load(connectors, orders)
    headers = "headers ARRAY<STRUCT<key: STRING, value: BINARY>>"
    assert frame.schema == connectors.createDataFrame([], f"{RAW}, {headers}").schema
    found = sorted(frame.collect(), key=lambda row: row.offset)
    assert [tuple(row)[:5] for row in found] == [
        (b"k", b'{"id":1}', "orders", 0, 0),
        (b"k", b'{"id":2}', "orders", 0, 1),
        (None, b"text", "orders", 0, 2),
    ]
    assert [[(each.key, bytes(each.value)) for each in row.headers] for row in found[1:]] == [
        [("content-type", b"application/json")],
        [("content-type", b"text/plain")],
    ]
    assert {row.timestampType for row in found} == {1}
    assert all(abs(row.timestamp.astimezone(UTC) - datetime.now(UTC)) < timedelta(minutes=5) for row in found)
    assert load(connectors, orders, includeHeaders="false").columns == [each.split()[0] for each in RAW.split(", ")]
    some = load(connectors, orders, "value BINARY, offset BIGINT", startingOffsets="1", endingOffsets="2")
    assert [(bytes(row.value), row.offset) for row in some.collect()] == [(b'{"id":2}', 1)]


def test_events_are_parsed_by_a_schema(connectors: SparkSession, orders: Posted) -> None:
    orders.put(
        '{"id":1,"name":"ä","at":"2026-01-31T10:00:00+02:00","price":12.5,"tags":["a","b"],"in":{"x":true}}',
        '{"id":2,"name":7,"more":1}',
        "{}",
    )
    orders.put('{"id":"4","name":"x","at":"2026-01-31 10:00:00","price":"1.25","in":""}', kind="text/csv")
    schema = (
        "id BIGINT, name STRING, at TIMESTAMP, price DECIMAL(8,2), tags ARRAY<STRING>, in STRUCT<x: BOOLEAN>, "
        "_offset BIGINT"
    )
    frame = load(connectors, orders, schema).selectExpr(
        "id",
        "name",
        "CAST(unix_timestamp(at) AS STRING) at",
        "CAST(price AS STRING) price",
        "tags",
        "in.x x",
        "_offset",
    )
    assert sorted(map(tuple, frame.collect()), key=lambda row: row[-1]) == [
        (1, "ä", "1769846400", "12.50", ["a", "b"], True, 0),
        (2, "7", None, None, None, None, 1),
        (None, None, None, None, None, None, 2),
        (4, "x", "1769853600", "1.25", None, None, 3),
    ]
    assert load(connectors, orders, "id BIGINT", endingOffsets="2").count() == 2


def test_an_event_that_is_no_row_fails_or_is_left_out(connectors: SparkSession, orders: Posted) -> None:
    orders.put('{"id":1}', '{"id":"x"}', '{"id":2}', "[3]", "{", r'{"id":"\ud800"}')
    said = failure(load(connectors, orders, "id BIGINT"))
    assert 'A record of ingest/orders cannot be read: field id: expected a whole number (int64), got "x"' in said
    assert "position 00000000000000000001" in said
    assert rows(load(connectors, orders, "id BIGINT", bad_data="skip")) == [(1,), (2,)]
    assert rows(load(connectors, orders, "id STRING", bad_data="skip")) == [("1",), ("2",), ("x",)]


def test_a_stream_takes_what_comes_in_batches_of_a_size(
    connectors: SparkSession, orders: Posted, tmp_path: Path
) -> None:
    for number in range(0, 500, 50):
        orders.numbers(number, number + 50)
    frame = stream(connectors, orders, maxOffsetsPerTrigger=120)
    assert batches(finish(start(frame, tmp_path, availableNow=True))) == [120, 120, 120, 120, 20]
    assert (tmp_path / "checkpoint" / "offsets" / "0").read_text().splitlines()[-1] == '{"offset": 120}'
    orders.numbers(500, 600)
    assert batches(finish(start(frame, tmp_path, availableNow=True))) == [100]
    assert ids(connectors, tmp_path) == list(range(600))
    assert len(frames.segments(orders.folder / "orders")) > 1


@pytest.mark.riacho_only
def test_a_running_stream_sees_events_at_once(connectors: SparkSession, orders: Posted, tmp_path: Path) -> None:
    query = start(stream(connectors, orders), tmp_path)
    for number in range(3):
        orders.numbers(number, number + 1)
        query.processAllAvailable()
        assert ids(connectors, tmp_path) == list(range(number + 1))
    query.stop()


@pytest.mark.riacho_only
def test_where_a_stream_starts(connectors: SparkSession, orders: Posted, tmp_path: Path) -> None:
    orders.numbers(0, 10)
    late = start(stream(connectors, orders, startingOffsets="latest"), tmp_path / "late", availableNow=True)
    assert batches(finish(late)) == []
    third = start(stream(connectors, orders, startingOffsets="3"), tmp_path / "3", availableNow=True)
    assert batches(finish(third)) == [7]


@pytest.mark.riacho_only
def test_an_endpoint_that_nobody_has_posted_to_is_empty(connectors: SparkSession, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    nothing = connectors.readStream.format("ingest").option("endpoint", "none").option("path", str(tmp_path)).load()
    assert batches(finish(start(nothing.select("value"), tmp_path / "out", availableNow=True))) == []


@pytest.mark.riacho_only
def test_readers_tell_how_far_they_are(connectors: SparkSession, orders: Posted, tmp_path: Path) -> None:
    orders.numbers(0, 10)
    finish(start(stream(connectors, orders, reader="mine"), tmp_path, availableNow=True))
    orders.numbers(10, 20)
    finish(start(stream(connectors, orders, reader="mine"), tmp_path, availableNow=True))
    # A batch is let go of when the next one is planned, or at its end.
    (reader,) = LogFolder(orders.folder / "orders").readers()
    assert (reader.name, reader.offset in (10, 20)) == ("mine", True)


def test_events_that_are_gone_are_missed_unless_they_need_not_be(
    connectors: SparkSession, orders: Posted, tmp_path: Path
) -> None:
    for number in range(0, 200, 20):
        orders.numbers(number, number + 20)
    (first, _), (second, gone) = frames.segments(orders.folder / "orders")[:2]
    frames.segments(orders.folder / "orders")[0][1].unlink()
    assert gone.exists()
    frame = load(connectors, orders, "id BIGINT", startingOffsets="0")
    said = failure(frame)
    assert f"Events of the endpoint orders are gone that were not read yet: offsets {first} to {second - 1}" in said
    assert "set failOnDataLoss to false" in said
    left = load(connectors, orders, "id BIGINT", startingOffsets="0", failOnDataLoss="false")
    assert sorted(row.id for row in left.collect()) == list(range(second, 200))
    assert load(connectors, orders, "id BIGINT").count() == 200 - second  # earliest is what is there


@pytest.mark.riacho_only
def test_a_log_that_begins_anew_is_not_waited_for_in_silence(
    connectors: SparkSession, orders: Posted, tmp_path: Path
) -> None:
    orders.numbers(0, 10)
    finish(start(stream(connectors, orders), tmp_path, availableNow=True))
    orders.log.close()
    shutil.rmtree(orders.folder)
    orders.log = LogWriter(orders.folder / "orders")
    orders.numbers(10, 13)
    with pytest.raises(PySparkException, match=r"at offset 10 of the endpoint orders, and .* ends at 3: it is gone"):
        finish(start(stream(connectors, orders), tmp_path, availableNow=True))
    waiting = stream(connectors, orders, failOnDataLoss="false")
    assert batches(finish(start(waiting, tmp_path, availableNow=True))) == []
    orders.numbers(13, 30)
    assert batches(finish(start(stream(connectors, orders), tmp_path, availableNow=True))) == [10]


@pytest.mark.riacho_only
def test_a_damaged_segment_is_named(connectors: SparkSession, orders: Posted) -> None:
    orders.numbers(0, 10)
    orders.numbers(10, 20)
    segment = frames.segments(orders.folder / "orders")[0][1]
    data = bytearray(segment.read_bytes())
    data[200] ^= 0xFF
    segment.write_bytes(data)
    assert f"{segment} is damaged at byte 0 (offset 0)" in failure(load(connectors, orders, "id BIGINT"))


@pytest.mark.riacho_only
def test_what_is_wrong_with_options_is_said(connectors: SparkSession, orders: Posted, tmp_path: Path) -> None:
    reader = connectors.read.format("ingest").option("path", str(tmp_path))
    assert "The option endpoint is required" in failure(reader.load())
    for name, value, says in (
        ("startingOffsets", "soon", "must be earliest, latest or an offset"),
        ("endingOffsets", "soon", "must be latest or an offset"),
        ("includeHeaders", "perhaps", "includeHeaders flag can be true or false"),
        ("bad_data", "drop", "must be fail, skip or dead_letter"),
        ("bad_data", "dead_letter", "needs a table for the records"),
    ):
        with pytest.raises(PySparkException) as raised:
            load(connectors, orders, **{name: value}).collect()
        assert says in str(raised.value)
    with pytest.raises(PySparkException, match="_offset is a BIGINT"):
        load(connectors, orders, "id BIGINT, _offset STRING").collect()


@pytest.mark.riacho_only
def test_dead_letters_have_the_query_and_come_once(connectors: SparkSession, orders: Posted, tmp_path: Path) -> None:
    spark = connectors
    orders.put('{"id":1}', '{"id":"x"}', '{"id":2}')
    table = f"letters_{tmp_path.name.replace('-', '_')}"
    options = {"bad_data": "dead_letter", "bad_data_table": table}
    query = finish(start(stream(spark, orders, **options), tmp_path, availableNow=True))
    for _ in range(2):  # a batch read tells of the same record
        assert rows(load(spark, orders, "id BIGINT", **options)) == [(1,), (2,)]
    (letter,) = spark.table(table).collect()
    assert (bytes(letter.raw), letter.source, letter.position) == (b'{"id":"x"}', "ingest/orders", f"{1:020}")
    assert (letter.query, letter.batch, letter.format) == (str(query.id), 0, "ingest")
    assert json.loads(letter.options)["endpoint"] == "orders"
    spark.sql(f"DROP TABLE {table}")
