"""Python data sources as sinks of streams: the tasks of each batch, its commit and abort."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pyspark.errors import AnalysisException, StreamingQueryException
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql.datasource import (
    DataSource,
    DataSourceStreamArrowWriter,
    DataSourceStreamWriter,
    WriterCommitMessage,
)

from tests.spec.support import finish, write_json
from tests.spec.user_sources import by_value, log, logged, source

by_value(__name__)


@dataclass
class Wrote(WriterCommitMessage):
    rows: int


class Writer(DataSourceStreamWriter):
    """Notes what it is given."""

    def __init__(self, options: Any, schema: Any, overwrite: bool) -> None:
        self.folder = options["folder"]
        log(self.folder, "writer", schema.simpleString(), overwrite)

    def write(self, iterator: Iterator[Row]) -> Wrote:
        rows = list(iterator)
        log(self.folder, "write", *rows)
        return Wrote(len(rows))

    def commit(self, messages: list[Any], batchId: int) -> None:  # noqa: N803 - Spark's name
        log(self.folder, "commit", batchId, sum(message.rows for message in messages))

    def abort(self, messages: list[Any], batchId: int) -> None:  # noqa: N803
        log(self.folder, "abort", batchId, *{type(message).__name__ for message in messages})


class ArrowWriter(Writer, DataSourceStreamArrowWriter):
    def write(self, iterator: Iterator[Any]) -> Wrote:
        batches = list(iterator)
        log(self.folder, "write", *(batch.to_pydict() for batch in batches))
        return Wrote(sum(batch.num_rows for batch in batches))


def writing(writer: type[Any], **members: Any) -> type[DataSource]:
    own = {"streamWriter": lambda self, schema, overwrite: writer(self.options, schema, overwrite)}
    return source("notes", **{**own, **members})


@pytest.fixture
def stream(spark: SparkSession, tmp_path: Path) -> DataFrame:
    """Two batches of one row each."""
    for number in range(2):
        write_json(tmp_path / "in" / f"{number}.json", [{"x": number}])
    return spark.readStream.schema("x long").option("maxFilesPerTrigger", 1).json(str(tmp_path / "in"))


def run(stream: DataFrame, folder: Path, mode: str = "append") -> list[str]:
    """Write the stream to the source `notes` until it ends; the calls, without those that make a writer."""
    writer = stream.writeStream.format("Notes").outputMode(mode).option("folder", str(folder))
    finish(writer.option("checkpointLocation", str(folder / "checkpoint")).trigger(availableNow=True).start())
    return calls(folder)


def calls(folder: Path) -> list[str]:
    return [call for call in logged(folder) if not call.startswith("writer")]


def test_every_batch_is_written_and_committed(spark: SparkSession, stream: DataFrame, tmp_path: Path) -> None:
    spark.dataSource.register(writing(Writer))
    assert run(stream, tmp_path) == ["write Row(x=0)", "commit 0 1", "write Row(x=1)", "commit 1 1"]
    # A writer is made for the tasks of each batch, and another for its commit.
    assert [call for call in logged(tmp_path) if call not in calls(tmp_path)] == ["writer struct<x:bigint> False"] * 4
    write_json(tmp_path / "in" / "more.json", [{"x": 2}])
    assert run(stream, tmp_path)[4:] == ["write Row(x=2)", "commit 2 1"]
    (tmp_path / "arrow").mkdir()
    spark.dataSource.register(writing(ArrowWriter))
    assert run(stream, tmp_path / "arrow")[:2] == ["write {'x': [0]}", "commit 0 1"]


def test_a_batch_without_rows(spark: SparkSession, stream: DataFrame, tmp_path: Path) -> None:
    spark.dataSource.register(writing(Writer))
    assert run(stream.where("x > 0"), tmp_path) == ["write", "commit 0 0", "write Row(x=1)", "commit 1 1"]


def test_modes(spark: SparkSession, stream: DataFrame, tmp_path: Path) -> None:
    spark.dataSource.register(writing(Writer))
    counted = stream.groupBy().count()
    noted = run(counted, tmp_path, "complete")
    assert noted == ["write Row(count=1)", "commit 0 1", "write Row(count=2)", "commit 1 1"]
    assert logged(tmp_path)[0] == "writer struct<count:bigint> True"
    other = tmp_path / "update"
    other.mkdir()
    with pytest.raises(StreamingQueryException, match="requirement failed: Notes does not support Update mode"):
        run(counted, other, "update")
    with pytest.raises(AnalysisException, match="checkpointLocation must be specified"):
        stream.writeStream.format("notes").start()


def raising(*_: Any, **__: Any) -> Any:
    raise ValueError("thrown by the user")


def broken(**members: Any) -> type[Any]:
    return type("Broken", (Writer,), members)


FAILS: dict[str, tuple[type[DataSource], str, list[str]]] = {
    "write": (
        writing(broken(write=raising)),
        "PYTHON_EXCEPTION.*exception was thrown from the Python worker.*thrown by",
        ["abort 0 NoneType"],
    ),
    "no message": (
        writing(broken(write=lambda *_: None)),
        "Expected 'WriterCommitMessage' as the return type of the `write` method",
        ["abort 0 NoneType"],
    ),
    "commit": (
        writing(broken(commit=raising)),
        "PYTHON_STREAMING_DATA_SOURCE_RUNTIME_ERROR.*source perform commit:.*thrown by",
        ["write Row(x=0)", "abort 0 Wrote"],
    ),
    "writer": (writing(Writer, streamWriter=raising), "Failed to initialize Python data source writer.*thrown by", []),
    "no writer": (source("notes"), "Failed to initialize Python data source writer.*streamWriter is not", []),
    "no such writer": (writing(Writer, streamWriter=lambda *_: 5), "Expected an instance of DataSourceStream", []),
}  # fmt: skip


def test_what_fails_is_aborted(spark: SparkSession, stream: DataFrame, tmp_path: Path) -> None:
    for what, (cls, text, expected) in FAILS.items():
        spark.dataSource.register(cls)
        folder = tmp_path / what
        folder.mkdir()
        with pytest.raises(StreamingQueryException, match=f"(?s){text}"):
            run(stream, folder)
        assert calls(folder) == expected, what


def test_a_batch_that_failed_comes_again(spark: SparkSession, stream: DataFrame, tmp_path: Path) -> None:
    spark.dataSource.register(writing(broken(commit=raising)))
    with pytest.raises(StreamingQueryException):
        run(stream, tmp_path)
    spark.dataSource.register(writing(Writer))
    assert run(stream, tmp_path)[2:] == ["write Row(x=0)", "commit 0 1", "write Row(x=1)", "commit 1 1"]
