"""Streams into files: the folder, its log (`_spark_metadata`), and who reads it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.streaming.query import StreamingQuery
from pyspark.sql.streaming.readwriter import DataStreamWriter

from tests.spec.support import finish, ids, last_progress, log_files, rows, write_json

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
FORMATS = {
    "parquet": ".snappy.parquet",
    "json": ".json",
    "csv": ".csv",
    "text": ".txt",
    "orc": ".zstd.orc",
    "avro": ".snappy.avro",
}
Change = Callable[[DataFrame], DataFrame]


class Stream:
    """A stream of JSON files into a folder; `run` adds a file and runs until it is written."""

    def __init__(self, spark: SparkSession, folder: Path) -> None:
        self.spark = spark
        self.source, self.out, self.checkpoint = folder / "in", folder / "out", folder / "cp"
        self.source.mkdir()

    def add(self, *values: dict[str, Any]) -> None:
        write_json(self.source / f"{len(list(self.source.iterdir()))}.json", values)

    def writer(self, form: str = "json", change: Change = lambda frame: frame, **options: Any) -> DataStreamWriter:
        frame = self.spark.readStream.schema("i INT, s STRING").json(str(self.source))
        writer = change(frame).writeStream.format(form).trigger(availableNow=True).options(**options)
        return writer.option("checkpointLocation", str(self.checkpoint))

    def run(self, *values: dict[str, Any], writer: DataStreamWriter | None = None) -> StreamingQuery:
        self.add(*values)
        return finish((writer or self.writer()).start(str(self.out)))

    def log(self, name: str) -> list[dict[str, Any]]:
        """The entries of one file of the sink's log; what differs from run to run is left out."""
        version, *lines = (self.out / "_spark_metadata" / name).read_text().split("\n")
        assert version == "v1"
        entries = [json.loads(line) for line in lines]
        for entry in entries:
            assert list(entry) == [
                "path", "size", "isDir", "modificationTime", "blockReplication", "blockSize", "action"
            ]  # fmt: skip
            path = Path(re.sub("^file://", "", entry["path"]).replace("%20", " ").replace("%25", "%"))
            status = path.stat()
            assert (entry["size"], entry["modificationTime"]) == (status.st_size, status.st_mtime_ns // 1_000_000)
            assert (entry["isDir"], entry["action"]) == (False, "add")
        return entries

    def names(self, log: str) -> list[str]:
        base = f"file://{self.out}/"
        return sorted(_UUID.sub("*", entry["path"].removeprefix(base)) for entry in self.log(log))


@pytest.fixture
def stream(spark: SparkSession, tmp_path: Path) -> Stream:
    return Stream(spark, tmp_path)


@pytest.mark.parametrize("form", FORMATS)
def test_each_batch_is_an_entry(stream: Stream, form: str) -> None:
    change: Change = (lambda frame: frame.select("s")) if form == "text" else (lambda frame: frame)
    stream.run({"i": 0, "s": "x0"}, {"i": 10}, writer=stream.writer(form, change))
    query = stream.run({"i": 1, "s": "x1"}, {"i": 11}, writer=stream.writer(form, change))
    sink = last_progress(query).sink
    assert (sink.description, sink.numOutputRows) == (f"FileSink[file:{stream.out}]", -1)
    assert stream.names("0") == stream.names("1") == [f"part-00000-*-c000{FORMATS[form]}"]
    assert log_files(stream.out / "_spark_metadata") == ["0", "1"]
    assert not (stream.out / "_SUCCESS").exists()
    if form in {"json", "parquet", "orc", "avro"}:
        assert rows(stream.spark.read.format(form).load(str(stream.out)).select("i", "s")) == [
            (0, "x0"), (1, "x1"), (10, None), (11, None)
        ]  # fmt: skip
    if form == "text":
        assert rows(stream.spark.read.text(str(stream.out))) == [("",), ("",), ("x0",), ("x1",)]


def test_the_log_is_compacted(stream: Stream) -> None:
    stream.spark.conf.set("spark.sql.streaming.fileSink.log.compactInterval", "3")
    for batch in range(7):
        stream.run({"i": batch})
    assert log_files(stream.out / "_spark_metadata") == ["0", "1", "2.compact", "3", "4", "5.compact", "6"]
    assert (len(stream.log("2.compact")), len(stream.log("5.compact")), len(stream.log("6"))) == (3, 6, 1)
    assert ids(stream.spark.read.json(str(stream.out)), "i") == list(range(7))
    stream.spark.conf.set("spark.sql.streaming.fileSink.log.compactInterval", "10")
    for batch in range(7, 9):
        stream.run({"i": batch})
    assert log_files(stream.out / "_spark_metadata")[-3:] == ["6", "7", "8.compact"]  # as before, not the new interval
    stream.run({"i": 9}, writer=stream.writer(retention="0s"))
    assert ids(stream.spark.read.json(str(stream.out)), "i") == list(range(10))
    for batch in range(10, 12):
        stream.run({"i": batch}, writer=stream.writer(retention="1ms"))
    assert len(stream.log("11.compact")) < 12  # old files are forgotten, though they are there
    assert len(list(stream.out.glob("*.json"))) == 12


def test_partitions(stream: Stream) -> None:
    writer = stream.writer().partitionBy("S")
    stream.run({"i": 1, "s": "a b"}, {"i": 2}, {"i": 3, "s": "x/y%"}, {"i": 4, "s": "a b"}, writer=writer)
    file = "part-00000-*.c000.json"
    assert stream.names("0") == [
        f"s=__HIVE_DEFAULT_PARTITION__/{file}", f"s=a%20b/{file}", f"s=x%252Fy%2525/{file}"
    ]  # fmt: skip
    assert rows(stream.spark.read.json(str(stream.out))) == [(1, "a b"), (2, None), (3, "x/y%"), (4, "a b")]
    assert rows(stream.spark.read.json(str(stream.out)).where("s = 'a b'")) == [(1, "a b"), (4, "a b")]


def test_no_rows(stream: Stream) -> None:
    def none(frame: DataFrame) -> DataFrame:
        return frame.where("i < 0")

    stream.run({"i": 1}, writer=stream.writer("csv", none, header=True))
    (entry,) = stream.log("0")
    assert Path(entry["path"].removeprefix("file://")).read_text() == "i,s\n"
    stream.run({"i": 1}, writer=stream.writer("csv", none, header=True).partitionBy("s"))
    assert stream.log("1") == []


def test_most_rows_in_a_file(stream: Stream) -> None:
    stream.run({"i": 1}, {"i": 2}, {"i": 3}, writer=stream.writer(maxRecordsPerFile=2))
    assert stream.names("0") == ["part-00000-*-c000.json", "part-00000-*-c001.json"]


def test_only_the_log_counts(stream: Stream, tmp_path: Path) -> None:
    stream.run({"i": 1})
    (stream.out / "part-00000-leftover-c000.json").write_text('{"i":99}\n')
    (stream.out / "s=x").mkdir()
    (stream.out / "s=x" / "part-00000-leftover.c000.json").write_text('{"i":98}\n')
    spark = stream.spark
    for frame in (
        spark.read.schema("i INT").json(str(stream.out)),
        spark.read.json(str(stream.out)),
        spark.sql(f"SELECT i FROM json.`{stream.out}`"),
    ):
        assert ids(frame, "i") == [1]
    (stream.out / "s=x" / "part-00000-leftover.c000.json").unlink()
    (stream.out / "s=x").rmdir()  # Spark's stream would take it for a partition
    again = spark.readStream.schema("i INT").json(str(stream.out)).writeStream.format("json")
    again = again.option("checkpointLocation", str(tmp_path / "cp2")).trigger(availableNow=True)
    finish(again.start(str(tmp_path / "out2")))
    assert ids(spark.read.json(str(tmp_path / "out2")), "i") == [1]
    stream.run({"i": 2})
    finish(again.start(str(tmp_path / "out2")))
    assert ids(spark.read.json(str(tmp_path / "out2")), "i") == [1, 2]
    for path in (stream.out / "_spark_metadata").iterdir():
        path.unlink()
    with pytest.raises(PySparkException, match="UNABLE_TO_INFER_SCHEMA"):
        spark.read.json(str(stream.out)).collect()


def test_a_batch_that_is_in_the_log_is_left_out(stream: Stream) -> None:
    stream.run({"i": 1})
    stream.run({"i": 2})
    (stream.checkpoint / "commits" / "1").unlink()
    for crc in (stream.checkpoint / "commits").glob(".*.crc"):
        crc.unlink()
    stream.run({"i": 3})
    assert ids(stream.spark.read.json(str(stream.out)), "i") == [1, 2, 3]
    assert len(list(stream.out.glob("*.json"))) == 3


def test_a_batch_that_fails_is_not_seen(stream: Stream) -> None:
    stream.run({"i": 1})

    def broken(frame: DataFrame) -> DataFrame:
        return frame.withColumn("b", F.when(F.col("i") == 2, F.raise_error(F.lit("boom"))))

    stream.add({"i": 2})
    query = stream.writer(change=broken).start(str(stream.out))
    with pytest.raises(PySparkException, match="boom"):
        query.awaitTermination(60)
    assert log_files(stream.out / "_spark_metadata") == ["0"]
    assert ids(stream.spark.read.json(str(stream.out)), "i") == [1]
    stream.run({"i": 3})
    assert ids(stream.spark.read.json(str(stream.out)), "i") == [1, 2, 3]


def test_tables_of_files(stream: Stream, database: str) -> None:
    name = f"{database}.new"
    stream.add({"i": 1, "s": "a"})
    finish(stream.writer("json").toTable(name))
    assert rows(stream.spark.table(name)) == [(1, "a")]
    stream.add({"i": 2, "s": "b"})
    finish(stream.writer("json").toTable(name))
    assert rows(stream.spark.table(name)) == [(1, "a"), (2, "b")]
    with pytest.raises(PySparkException, match="different from the table"):
        stream.writer("parquet").toTable(name)


class TestRefused:
    def test_at_the_start(self, stream: Stream) -> None:
        def message(writer: DataStreamWriter, path: str | None = str(stream.out)) -> str:
            with pytest.raises(PySparkException) as caught:
                writer.start(path)
            return str(caught.value)

        complete = stream.writer(change=lambda frame: frame.groupBy("i").count()).outputMode("complete")
        for writer in (complete, stream.writer("parquet").outputMode("update")):
            assert "STREAMING_OUTPUT_MODE.UNSUPPORTED_DATASOURCE" in message(writer)
        assert "'path' is not specified" in message(stream.writer("csv"), None)
        assert "Partition column zz not found in existing columns (i, s)" in message(stream.writer().partitionBy("zz"))
        assert "Failed to parse time string: soon" in message(stream.writer(retention="soon"))
        assert "checkpointLocation must be specified" in message(
            stream.spark.readStream.format("rate").load().writeStream.format("json")
        )

    @pytest.mark.parametrize(
        ("form", "change", "options", "condition"),
        [
            ("text", lambda frame: frame, {}, "UNSUPPORTED_DATA_TYPE_FOR_DATASOURCE"),
            ("csv", lambda frame: frame.select(F.array("i")), {}, "UNSUPPORTED_DATA_TYPE_FOR_DATASOURCE"),
            ("json", lambda frame: frame, {"compression": "foo"}, "CODEC_NOT_AVAILABLE"),
        ],
    )
    def test_by_the_first_batch(
        self, stream: Stream, form: str, change: Change, options: dict[str, str], condition: str
    ) -> None:
        stream.add({"i": 1})
        query = stream.writer(form, change, **options).start(str(stream.out))
        with pytest.raises(PySparkException, match=condition):
            query.awaitTermination(60)
        assert list(stream.out.glob("*.*")) == []
