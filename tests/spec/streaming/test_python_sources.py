"""Python data sources as streams: which rows they give, and which of their methods are called when."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyspark.errors import PySparkException, StreamingQueryException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.datasource import (
    DataSource,
    DataSourceStreamReader,
    InputPartition,
    SimpleDataSourceStreamReader,
)
from pyspark.sql.streaming.datasource import ReadAllAvailable, ReadMaxRows, SupportsTriggerAvailableNow
from pyspark.sql.streaming.query import StreamingQuery
from pyspark.sql.types import Row

from tests.spec.support import finish, rows, until
from tests.spec.user_sources import by_value, log, logged, source

by_value(__name__)

END = 6


class Counting(DataSourceStreamReader):
    """Numbers up to END, each in a partition of its own, two more at each look, as readers were before Spark 4.2."""

    def __init__(self, options: Any) -> None:
        self.folder = options["folder"]
        self.at = 0
        log(self.folder, "made")

    def initialOffset(self) -> dict[str, int]:
        log(self.folder, "initial")
        return {"at": 0}

    def latestOffset(self) -> dict[str, int]:  # type: ignore[override]
        self.at += 2
        log(self.folder, "latest")
        return {"at": min(self.at, END)}

    def partitions(self, start: dict[str, int], end: dict[str, int]) -> list[InputPartition]:
        log(self.folder, "partitions", start["at"], end["at"])
        return [InputPartition(number) for number in range(start["at"], end["at"])]

    def read(self, partition: InputPartition) -> Iterator[Any]:
        yield (partition.value,)

    def commit(self, end: dict[str, int]) -> None:
        log(self.folder, "commit", end["at"])


class Limited(Counting):
    """All numbers at once, unless the limit says less: four at a time."""

    def latestOffset(self, start: dict[str, int], limit: Any) -> dict[str, int]:  # type: ignore[override]
        log(self.folder, "latest", start["at"], limit)
        return {"at": END if isinstance(limit, ReadAllAvailable) else min(start["at"] + limit.max_rows, END)}

    def getDefaultReadLimit(self) -> ReadMaxRows:
        return ReadMaxRows(4)

    def reportLatestOffset(self) -> dict[str, int]:
        return {"at": 99}


class AvailableNow(Limited, SupportsTriggerAvailableNow):
    def prepareForTriggerAvailableNow(self) -> None:
        log(self.folder, "prepare")


class Simple(SimpleDataSourceStreamReader):
    """The next two numbers at each look."""

    def __init__(self, options: Any) -> None:
        self.folder = options["folder"]
        log(self.folder, "made")

    def initialOffset(self) -> dict[str, int]:
        log(self.folder, "initial")
        return {"at": 0}

    def read(self, start: dict[str, int]) -> tuple[Iterator[Any], dict[str, int]]:
        log(self.folder, "read", start["at"])
        end = min(start["at"] + 2, END)
        return iter([(number,) for number in range(start["at"], end)]), {"at": end}

    def readBetweenOffsets(self, start: dict[str, int], end: dict[str, int]) -> Iterator[Any]:
        log(self.folder, "between", start["at"], end["at"])
        return iter([(number,) for number in range(start["at"], end["at"])])

    def commit(self, end: dict[str, int]) -> None:
        log(self.folder, "commit", end["at"])


class SimpleAvailableNow(Simple, SupportsTriggerAvailableNow):
    def prepareForTriggerAvailableNow(self) -> None:
        log(self.folder, "prepare")


def streaming(reader: type[Any], name: str = "numbers", schema: str = "x int", **members: Any) -> type[DataSource]:
    """A data source whose stream reader is of that class."""
    method = "simpleStreamReader" if issubclass(reader, SimpleDataSourceStreamReader) else "streamReader"
    own = {"schema": lambda _: schema, method: lambda self, schema: reader(self.options)}
    return source(name, **{**own, **members})


def numbers(spark: SparkSession, reader: type[Any], folder: Path, **members: Any) -> DataFrame:
    """The stream of a reader of that class, which notes its calls in `folder`."""
    folder.mkdir(exist_ok=True)
    spark.dataSource.register(streaming(reader, **members))
    return spark.readStream.format("numbers").option("folder", str(folder)).load()


def run(stream: DataFrame, folder: Path, sink: str = "delta", **trigger: Any) -> StreamingQuery:
    """Write the stream, to a Delta table if nothing else is said, until it ends."""
    trigger = trigger or {"availableNow": True}
    writer = stream.writeStream.option("checkpointLocation", str(folder / "checkpoint")).trigger(**trigger)
    return finish(writer.format(sink).start(str(folder / "table")))


def written(spark: SparkSession, folder: Path) -> list[int]:
    return sorted(row[0] for row in spark.read.format("delta").load(str(folder / "table")).collect())


def calls(folder: Path) -> list[str]:
    """What was called, without how often the reader's objects were made and stopped, and asked where it begins."""
    return [call for call in logged(folder) if call not in ("made", "initial")]


def offsets(query: StreamingQuery) -> list[Any]:
    return [
        (json.loads(source.startOffset or "null"), json.loads(source.endOffset))
        for progress in query.recentProgress
        if progress.numInputRows != 0
        for source in [progress.sources[0]]
    ]


def test_available_now_of_a_reader_that_supports_it(spark: SparkSession, tmp_path: Path) -> None:
    stream = numbers(spark, AvailableNow, tmp_path / "notes")
    assert stream.schema.simpleString() == "struct<x:int>"
    query = run(stream, tmp_path)
    assert offsets(query)[:2] == [(None, {"at": 4}), ({"at": 4}, {"at": 6})]
    assert json.loads(query.recentProgress[0].sources[0].latestOffset) == {"at": 99}
    assert calls(tmp_path / "notes") == [
        "prepare",
        "latest 0 ReadMaxRows(max_rows=4)",
        "partitions 0 4",
        "latest 4 ReadMaxRows(max_rows=4)",
        "commit 4",
        "partitions 4 6",
        "latest 6 ReadMaxRows(max_rows=4)",
    ]
    assert written(spark, tmp_path) == list(range(6))
    # Nothing is new when it runs again.
    again = run(numbers(spark, AvailableNow, tmp_path / "again"), tmp_path)
    assert calls(tmp_path / "again") == ["prepare", "latest 6 ReadMaxRows(max_rows=4)"]
    assert again.lastProgress is None or again.lastProgress.batchId == 2
    assert written(spark, tmp_path) == list(range(6))


def test_available_now_of_readers_that_do_not_is_one_batch(spark: SparkSession, tmp_path: Path) -> None:
    run(numbers(spark, Limited, tmp_path / "notes"), tmp_path)
    assert calls(tmp_path / "notes") == ["latest 0 ReadAllAvailable()", "partitions 0 6"]
    assert written(spark, tmp_path) == list(range(6))
    other = tmp_path / "other"
    run(numbers(spark, Counting, other), other)
    assert calls(other) == ["latest", "partitions 0 2"]
    assert written(spark, other) == [0, 1]
    run(numbers(spark, Counting, tmp_path / "again"), other)  # which counts from 2 again, so finds nothing
    assert written(spark, other) == [0, 1]


def test_once_takes_all(spark: SparkSession, tmp_path: Path) -> None:
    run(numbers(spark, AvailableNow, tmp_path / "notes"), tmp_path, once=True)
    assert calls(tmp_path / "notes") == ["latest 0 ReadAllAvailable()", "partitions 0 6"]
    assert written(spark, tmp_path) == list(range(6))


def test_a_query_that_goes_on(spark: SparkSession, tmp_path: Path) -> None:
    stream = numbers(spark, Limited, tmp_path / "notes")
    query = stream.writeStream.format("memory").queryName("going_on").start()
    query.processAllAvailable()
    assert rows(spark.table("going_on")) == [(number,) for number in range(6)]
    assert calls(tmp_path / "notes")[:5] == [
        "latest 0 ReadMaxRows(max_rows=4)",
        "partitions 0 4",
        "latest 4 ReadMaxRows(max_rows=4)",
        "commit 4",
        "partitions 4 6",
    ]
    query.stop()


def test_a_simple_reader(spark: SparkSession, tmp_path: Path) -> None:
    query = run(numbers(spark, SimpleAvailableNow, tmp_path / "notes"), tmp_path)
    assert offsets(query)[:3] == [(None, {"at": 2}), ({"at": 2}, {"at": 4}), ({"at": 4}, {"at": 6})]
    expected = ["prepare", "read 0", "read 2", "commit 2", "read 4", "commit 4", "read 6"]
    assert calls(tmp_path / "notes") == expected
    assert written(spark, tmp_path) == list(range(6))
    other = tmp_path / "other"
    run(numbers(spark, Simple, other), other)
    assert calls(other) == ["read 0"]
    run(numbers(spark, Simple, tmp_path / "again"), other)
    assert calls(tmp_path / "again") == ["read 2", "commit 2"]
    assert written(spark, other) == [0, 1, 2, 3]


def test_a_batch_that_was_not_committed_is_read_again(spark: SparkSession, tmp_path: Path) -> None:
    """From the offsets that were logged, by readers that have never seen them."""
    for reader, expected in (
        (AvailableNow, ["partitions 4 6", "latest 6 ReadMaxRows(max_rows=4)"]),
        (SimpleAvailableNow, ["between 4 6", "read 6"]),
    ):
        folder, again = tmp_path / reader.__name__, tmp_path / f"again-{reader.__name__}"
        run(numbers(spark, reader, folder), folder, "noop")
        commits = folder / "checkpoint" / "commits"
        last = max(int(file.name) for file in commits.iterdir() if file.name.isdigit())
        for name in (str(last), f".{last}.crc"):
            (commits / name).unlink(missing_ok=True)
        run(numbers(spark, reader, again), folder, "noop")
        assert [call for call in calls(again) if call != "prepare"] == expected


def test_rows_of_every_kind(spark: SparkSession, tmp_path: Path) -> None:
    class Batches(AvailableNow):
        def read(self, partition: InputPartition) -> Iterator[Any]:
            yield pa.record_batch([pa.array([partition.value, partition.value], pa.int32())], names=["x"])

    class Named(AvailableNow):
        def read(self, partition: InputPartition) -> Iterator[Any]:
            yield Row(y="a", x=partition.value)

    class Several(SimpleAvailableNow):
        def read(self, start: dict[str, int]) -> tuple[Iterator[Any], dict[str, int]]:
            rows, end = super().read(start)
            numbers = [row[0] for row in rows]
            return iter([pa.record_batch([pa.array(numbers, pa.int32())], names=["x"])] if numbers else []), end

    run(numbers(spark, Batches, tmp_path / "batches"), tmp_path / "batches")
    assert written(spark, tmp_path / "batches") == sorted([*range(6), *range(6)])
    run(numbers(spark, Named, tmp_path / "named", schema="x int, y string"), tmp_path / "named")
    assert written(spark, tmp_path / "named") == list(range(6))
    run(numbers(spark, Several, tmp_path / "several"), tmp_path / "several")
    assert written(spark, tmp_path / "several") == list(range(6))


def test_schemas(spark: SparkSession, tmp_path: Path) -> None:
    stream = numbers(spark, AvailableNow, tmp_path, schema="x int not null, y int")
    assert [field.nullable for field in stream.schema] == [False, True]
    given = spark.readStream.format("numbers").schema("z string").option("folder", str(tmp_path)).load("/a")
    assert given.schema.simpleString() == "struct<z:string>"
    run(given, tmp_path)
    assert rows(spark.read.format("delta").load(str(tmp_path / "table"))) == [(str(n),) for n in range(6)]
    with pytest.raises(PySparkException, match="Failed to create Python data source instance.*"):
        numbers(spark, AvailableNow, tmp_path, schema=None).isStreaming  # noqa: B018
    with pytest.raises(PySparkException, match="must be executed with writeStream.start"):
        stream.collect()


def test_other_parts_of_a_query(spark: SparkSession, tmp_path: Path) -> None:
    """Two streams of one source; state; foreachBatch, whose session knows the source."""
    stream = numbers(spark, AvailableNow, tmp_path)
    counted = stream.union(stream.selectExpr("x + 10")).selectExpr("x % 2 AS odd").groupBy("odd").count()
    query = counted.writeStream.outputMode("complete").format("memory").queryName("counted")
    finish(query.trigger(availableNow=True).start())
    assert rows(spark.table("counted")) == [(0, 6), (1, 6)]
    table = str(tmp_path / "batches")

    def keep(batch: DataFrame, _: int) -> None:
        batch.write.format("delta").mode("append").save(table)

    finish(stream.writeStream.foreachBatch(keep).trigger(availableNow=True).start())
    assert sorted(row.x for row in spark.read.format("delta").load(table).collect()) == list(range(6))


def raising(*_: Any, **__: Any) -> Any:
    raise ValueError("thrown by the user")


def broken(base: type[Any], **members: Any) -> type[Any]:
    """A reader whose methods are those of `base` and these."""
    return type("Broken", (base,), members)


RUNTIME = "PYTHON_STREAMING_DATA_SOURCE_RUNTIME_ERROR.*source perform"
BROKEN: dict[str, tuple[type[Any], str]] = {
    "made": (broken(Counting, __init__=raising), "PYTHON_DATA_SOURCE_ERROR.*to plan Python data source initialize"),
    "initial": (broken(Counting, initialOffset=raising), f"{RUNTIME} initialOffset.*thrown by"),
    "latest": (broken(Counting, latestOffset=raising), f"{RUNTIME} latestOffset.*thrown by"),
    "limit": (broken(Limited, getDefaultReadLimit=raising), f"{RUNTIME} getDefaultReadLimit.*thrown by"),
    "report": (broken(Limited, reportLatestOffset=raising), f"{RUNTIME} reportLatestOffset.*thrown by"),
    "prepare": (broken(AvailableNow, prepareForTriggerAvailableNow=raising), f"{RUNTIME} prepareForTrigger.*thrown by"),
    "partitions": (broken(Counting, partitions=raising), f"{RUNTIME} planPartitions.*thrown by"),
    "commit": (broken(AvailableNow, commit=raising), f"{RUNTIME} commitSource.*thrown by"),
    "read": (broken(Counting, read=raising), "PYTHON_EXCEPTION.*exception was thrown from the Python.*thrown by"),
    "row": (broken(Counting, read=lambda *_: iter([(1, 2)])), "DATA_SOURCE_RETURN_SCHEMA_MISMATCH.*Found: 2"),
    "simple row": (broken(Simple, read=lambda *_: (iter([(1, 2)]), {"at": 1})), f"{RUNTIME} planPartitions.*MISMATCH"),
    "no progress": (broken(Simple, read=lambda *_: (iter([(1,)]), {"at": 0})), f"{RUNTIME} latestOffset.*NOT_ADVANCE"),
    "generator": (broken(Simple, read=lambda *_: ((n for n in [(1,)]), {"at": 1})), "cannot pickle 'generator'"),
    "null": (broken(Counting, read=lambda *_: iter([(None,)])), "Value at index is null"),
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
def test_what_fails_a_query(spark: SparkSession, tmp_path: Path, what: str) -> None:
    reader, text = BROKEN[what]
    schema = "x int not null" if what == "null" else "x int"
    with pytest.raises(StreamingQueryException, match=f"(?s)STREAM_FAILED.*{text}"):
        run(numbers(spark, reader, tmp_path, schema=schema), tmp_path, "noop")


def test_no_reader(spark: SparkSession, tmp_path: Path) -> None:
    stream = numbers(spark, Counting, tmp_path, streamReader=DataSource.streamReader)
    with pytest.raises(StreamingQueryException, match="(?s)PYTHON_DATA_SOURCE_ERROR.*initialize source"):
        run(stream, tmp_path, "noop")
    with pytest.raises(PySparkException, match="(?s)Failed to initialize Python data source reader.*not implemented"):
        spark.read.format("numbers").option("folder", str(tmp_path)).load().collect()


def test_a_query_that_waits_for_its_reader_can_be_stopped(spark: SparkSession, tmp_path: Path) -> None:
    def wait(self: Any, _: InputPartition) -> Iterator[Any]:
        import time

        log(self.folder, "waiting")
        time.sleep(600)
        yield (1,)

    stream = numbers(spark, broken(Counting, read=wait), tmp_path)
    writer = stream.writeStream.option("checkpointLocation", str(tmp_path / "checkpoint"))
    query = writer.format("noop").start()
    until(query, lambda: "waiting" in logged(tmp_path))
    query.stop()
    assert not query.isActive
    assert query.exception() is None
