"""What riacho calls in a Python data source that Spark does not: save modes, confs, errors that are not wrapped.

The connectors that come with riacho are made so; these are tiny ones.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pyspark.errors import AnalysisException, IllegalArgumentException, PySparkException, StreamingQueryException
from pyspark.sql import Row, SparkSession
from pyspark.sql.datasource import (
    DataSource,
    DataSourceReader,
    DataSourceStreamReader,
    DataSourceStreamWriter,
    DataSourceWriter,
    InputPartition,
    WriterCommitMessage,
)

from tests.spec.support import finish
from tests.spec.user_sources import by_value, log, logged

by_value(__name__)

pytestmark = pytest.mark.riacho_only


@dataclass
class Done(WriterCommitMessage):
    rows: int


class Notes(DataSourceWriter):
    def __init__(self, options: Any, mode: str) -> None:
        self.folder = options["folder"]
        log(self.folder, "writer", mode)

    def write(self, iterator: Iterator[Row]) -> Done:
        return Done(len(list(iterator)))

    def commit(self, messages: list[Any]) -> None:
        log(self.folder, "commit", *(message.rows for message in messages))


class OneTask(Notes):
    most_tasks = 1


class StreamNotes(DataSourceStreamWriter):
    def __init__(self, options: Any) -> None:
        self.options = options

    def write(self, iterator: Iterator[Row]) -> Done:
        list(iterator)
        refuse(self.options, "stream write")
        return Done(0)

    def commit(self, messages: list[Any], batchId: int) -> None:  # noqa: N803 - Spark's name
        log(self.options["folder"], "confs", self.options["spark.mongodb.write.database"])


class Options(DataSourceReader):
    """One row with all options."""

    def __init__(self, options: Any) -> None:
        self.options = options
        refuse(options, "reader")

    def partitions(self) -> list[InputPartition]:
        refuse(self.options, "partitions")
        return [InputPartition(0)]

    def read(self, partition: InputPartition) -> Iterator[Any]:
        refuse(self.options, "read")
        yield (json.dumps(dict(self.options)),)


class StreamOptions(DataSourceStreamReader):
    def __init__(self, options: Any) -> None:
        self.options = options

    def initialOffset(self) -> Any:
        return {"n": 0}

    def latestOffset(self) -> Any:  # type: ignore[override]
        refuse(self.options, "offset")
        return {"n": 1}

    def partitions(self, start: Any, end: Any) -> list[InputPartition]:
        return [InputPartition(0)]

    def read(self, partition: InputPartition) -> Iterator[Any]:
        refuse(self.options, "read")
        yield (json.dumps(dict(self.options)),)


def refuse(options: Any, step: str) -> None:
    """Raise one of riacho's errors if this is the step that is to fail."""
    from riacho.errors import AnalysisError, IllegalArgumentError

    class OfAConnectorError(IllegalArgumentError):
        pass

    if options.get("fails") == step:
        if options.get("plain"):
            raise OfAConnectorError("the url is wrong")
        raise AnalysisError.of("TABLE_NOT_THERE", "No table `a`.`b`.", sql_state="42P01", table="b")


class Tiny(DataSource):
    session_conf_prefixes: ClassVar[tuple[str, ...]] = ("spark.mongodb.", "spark.sql.session.timeZone")

    @classmethod
    def name(cls) -> str:
        return "tiny"

    def schema(self) -> str:
        refuse(self.options, "schema")
        return "options string"

    def reader(self, schema: Any) -> DataSourceReader:
        return Options(self.options)

    def streamReader(self, schema: Any) -> DataSourceStreamReader:
        return StreamOptions(self.options)

    def writerForMode(self, schema: Any, mode: str) -> DataSourceWriter | None:
        refuse(self.options, "writer")
        return None if mode == "ignore" else (OneTask if "one" in self.options else Notes)(self.options, mode)

    def streamWriter(self, schema: Any, overwrite: bool) -> DataSourceStreamWriter:
        return StreamNotes(self.options)


def test_save_modes(spark: SparkSession, tmp_path: Path) -> None:
    spark.dataSource.register(Tiny)
    write = spark.range(3).write.format("tiny").option("folder", str(tmp_path))
    write.save()
    write.mode("append").save()
    write.mode("overwrite").save()
    write.mode("ignore").save()  # there is no writer: nothing is to be done
    assert logged(tmp_path) == [
        "writer error", "commit 3", "writer append", "commit 3", "writer overwrite", "commit 3",
    ]  # fmt: skip
    for tasks in ("one", "two"):
        frame = spark.range(4).repartition(2).write.format("tiny").option("folder", str(tmp_path)).option(tasks, "")
        frame.mode("append").save()
    assert logged(tmp_path)[-3::2] == ["commit 4", "commit 2 2"]


def options_of(row: Row | None) -> dict[str, str]:
    assert row is not None
    found: dict[str, str] = json.loads(row.options)
    return found


def test_confs_of_the_session_are_options(spark: SparkSession, tmp_path: Path) -> None:
    """Batch and stream, below the options that the user gives; also in a query that runs in a copy of the session."""
    spark.dataSource.register(Tiny)
    spark.conf.set("spark.mongodb.write.database", "of the session")
    spark.conf.set("spark.mongodb.read.connection.uri", "mongodb://a")
    spark.conf.set("spark.nobody.asks", "1")
    spark.conf.set("spark.sql.session.timeZone", "+05:45")
    given = {"Spark.Mongodb.Write.Database": "given", "a": "1"}
    uri = {"spark.mongodb.read.connection.uri": "mongodb://a"}
    uri |= {f"__conf.{key}": value for key, value in uri.items()}
    uri["__conf.spark.mongodb.write.database"] = "of the session"
    uri["__conf.spark.sql.session.timezone"] = uri["spark.sql.session.timezone"] = "+05:45"
    assert options_of(spark.read.format("tiny").options(**given).load().first()) == {
        **uri,
        "spark.mongodb.write.database": "given",
        "a": "1",
    }
    stream = spark.readStream.format("tiny").load()
    query = stream.writeStream.format("memory").queryName("confs").trigger(availableNow=True).start()
    finish(query)
    found = options_of(spark.table("confs").first())
    assert found == {**uri, "spark.mongodb.write.database": "of the session"}
    written = stream.writeStream.format("tiny").option("folder", str(tmp_path))
    finish(written.option("checkpointLocation", str(tmp_path / "c")).trigger(availableNow=True).start())
    assert logged(tmp_path) == ["confs of the session"]


def test_errors_are_not_wrapped(spark: SparkSession, tmp_path: Path) -> None:
    spark.dataSource.register(Tiny)

    def not_there(caught: pytest.ExceptionInfo[PySparkException]) -> None:
        error = caught.value
        assert error.getCondition() == "TABLE_NOT_THERE"
        assert error.getMessageParameters() == {"table": "b"}
        assert error.getSqlState() == "42P01"
        assert str(error).startswith("[TABLE_NOT_THERE] No table `a`.`b`. SQLSTATE: 42P01")

    for step in ("schema", "reader", "partitions", "read"):
        with pytest.raises(AnalysisException) as caught:
            spark.read.format("tiny").option("fails", step).load().collect()
        not_there(caught)
        with pytest.raises(IllegalArgumentException, match=r"^the url is wrong$"):
            spark.read.format("tiny").option("fails", step).option("plain", "1").load().collect()
    with pytest.raises(AnalysisException) as caught:
        spark.range(1).write.format("tiny").option("fails", "writer").save()
    not_there(caught)

    def fails(step: str, into: str) -> None:
        stream = spark.readStream.format("tiny").option("fails", step).load()
        start = stream.writeStream.format(into).option("checkpointLocation", str(tmp_path / (step + into)))
        query = start.option("fails", step).option("folder", str(tmp_path)).trigger(availableNow=True).start()
        with pytest.raises(StreamingQueryException, match=r"\[TABLE_NOT_THERE\] No table `a`.`b`."):
            finish(query)

    fails("offset", "noop")
    fails("read", "noop")
    fails("stream write", "tiny")
