"""The socket source: a row for each line that a TCP server sends."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.errors import (
    AnalysisException,
    NumberFormatException,
    StreamingQueryException,
    UnsupportedOperationException,
)
from pyspark.sql import DataFrame, SparkSession

from tests.spec.support import LIMIT_S, finish, last_progress, said, until


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    """A TCP server that listens, on a port of its own."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(LIMIT_S)
        yield listening


def lines(spark: SparkSession, listening: socket.socket, **options: str) -> DataFrame:
    host, port = listening.getsockname()
    return spark.readStream.format("socket").options(host=host, port=port, **options).load()


def test_the_columns(spark: SparkSession, listening: socket.socket) -> None:
    assert lines(spark, listening).schema.simpleString() == "struct<value:string>"
    assert lines(spark, listening, includeTimestamp="true").schema.simpleString() == (
        "struct<value:string,timestamp:timestamp>"
    )


def test_what_is_refused(spark: SparkSession) -> None:
    reader = spark.readStream.format("socket")
    with pytest.raises(AnalysisException, match=r'Set a host to read from with option\("host", ...\)\.'):
        _ = reader.load().schema
    with pytest.raises(AnalysisException, match=r'Set a port to read from with option\("port", ...\)\.'):
        _ = reader.option("host", "localhost").load().schema
    with pytest.raises(NumberFormatException, match='For input string: "x1"'):
        _ = reader.option("port", "x1").load().schema
    with pytest.raises(AnalysisException, match=r'IncludeTimestamp must be set to either "true" or "false"\.'):
        _ = reader.option("port", "1").option("includeTimestamp", "maybe").load().schema
    for form, name in (
        ("socket", "TextSocketSourceProvider"),
        ("rate", "RateStreamProvider"),
        ("rate-micro-batch", "RatePerMicroBatchProvider"),
    ):
        given = spark.readStream.format(form).options(host="localhost", port="1", rowsPerBatch="1")
        with pytest.raises(UnsupportedOperationException) as caught:
            _ = given.schema("value STRING").load().schema
        assert said(caught.value).endswith(f"{name} source does not support user-specified schema.")


def test_nobody_there_ends_the_query(spark: SparkSession) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    stream = spark.readStream.format("socket").options(host="127.0.0.1", port=port).load()
    with pytest.raises(StreamingQueryException, match="Connection refused"):
        finish(stream.writeStream.format("memory").queryName("refused").start())


def test_lines_are_rows(spark: SparkSession, listening: socket.socket) -> None:
    query = lines(spark, listening, includeTimestamp="true").writeStream.format("memory").queryName("seen").start()
    connection, _ = listening.accept()
    with connection:
        seen = spark.table("seen")
        connection.sendall(b"hello\nwor")
        until(query, lambda: seen.count() == 1)
        connection.sendall(b"ld\r\n\xff\n\ncr\rlf \xc3\xa9\nun")
        until(query, lambda: seen.count() == 6)
        source = last_progress(query).sources[0]
        assert source.description == f"TextSocketV2[host: 127.0.0.1, port: {listening.getsockname()[1]}]"
        connection.sendall(b"finished")
    until(query, lambda: seen.count() == 7)
    values = [row.value for row in seen.orderBy("timestamp").collect()]
    assert sorted(values) == sorted(["hello", "world", "\ufffd", "", "cr", "lf \u00e9", "unfinished"])
    assert values[0] == "hello"
    assert query.isActive
    query.stop()


def test_a_run_until_now_reads_what_is_there(spark: SparkSession, listening: socket.socket) -> None:
    query = lines(spark, listening).writeStream.format("memory").queryName("now").trigger(availableNow=True).start()
    connection, _ = listening.accept()
    with connection:
        finish(query)
        assert spark.table("now").count() == 0
    assert query.recentProgress[0].batchId == 0


def test_it_does_not_go_on_after_a_restart(spark: SparkSession, listening: socket.socket, tmp_path: Path) -> None:
    writer = lines(spark, listening).groupBy("value").count().writeStream.format("memory").outputMode("complete")
    writer = writer.option("checkpointLocation", str(tmp_path / "c"))
    query = writer.queryName("first").start()
    connection, _ = listening.accept()
    with connection:
        connection.sendall(b"a\nb\n")
        until(query, lambda: spark.table("first").count() == 2)
        query.stop()
    query = writer.queryName("second").start()
    connection, _ = listening.accept()
    with connection:
        connection.sendall(b"c\n")
        with pytest.raises(StreamingQueryException, match="Offsets committed out of order: 1 followed by -1"):
            finish(query)
