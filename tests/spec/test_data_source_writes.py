"""Python data sources written in batches: the tasks of a writer, commit and abort."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pyspark.errors import AnalysisException, IllegalArgumentException, PySparkException
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql.datasource import DataSource, DataSourceArrowWriter, DataSourceWriter, WriterCommitMessage

from tests.spec.user_sources import by_value, log, logged, source

by_value(__name__)


@dataclass
class Wrote(WriterCommitMessage):
    rows: int


class Writer(DataSourceWriter):
    """Notes what it is given."""

    def __init__(self, options: Any, schema: Any, overwrite: bool) -> None:
        self.folder = options["folder"]
        log(self.folder, "writer", schema.simpleString(), overwrite, options.get("path"))

    def write(self, iterator: Iterator[Row]) -> Wrote:
        rows = list(iterator)
        log(self.folder, "write", *rows)
        return Wrote(len(rows))

    def commit(self, messages: list[Any]) -> None:
        log(self.folder, "commit", sorted(message.rows for message in messages))

    def abort(self, messages: list[Any]) -> None:
        log(self.folder, "abort", sorted(message.rows if message else -1 for message in messages))


class ArrowWriter(Writer, DataSourceArrowWriter):
    def write(self, iterator: Iterator[Any]) -> Wrote:
        batches = list(iterator)
        log(self.folder, "write", *(batch.to_pydict() for batch in batches))
        return Wrote(sum(batch.num_rows for batch in batches))


def writing(cls: type[Any]) -> type[DataSource]:
    return source("notes", writer=lambda self, schema, overwrite: cls(self.options, schema, overwrite))


def save(frame: DataFrame, folder: Path, mode: str = "append", path: str | None = None) -> list[str]:
    """Write to the source `notes`; the calls that it made, made ones first, then those of tasks."""
    folder.mkdir(exist_ok=True)
    frame.write.format("Notes").mode(mode).option("folder", str(folder)).save(path)
    return logged(folder)


def test_modes(spark: SparkSession, tmp_path: Path) -> None:
    spark.dataSource.register(writing(Writer))
    three = spark.range(3).repartition(1)
    rows = "write Row(id=0) Row(id=1) Row(id=2)"
    appended = save(three, tmp_path / "append", path="/a")
    assert appended == ["writer struct<id:bigint> False /a", rows, "commit [3]"]
    assert save(three, tmp_path / "overwrite", "overwrite")[0] == "writer struct<id:bigint> True None"
    for mode, shown in (("ignore", "Ignore"), ("error", "ErrorIfExists")):
        with pytest.raises(AnalysisException, match=f'cannot be written in the "{shown}" mode') as caught:
            save(three, tmp_path, mode)
        assert caught.value.getCondition() == "UNSUPPORTED_DATA_SOURCE_SAVE_MODE"
    with pytest.raises(IllegalArgumentException, match="do not match the existing table's"):
        three.write.format("notes").mode("append").partitionBy("id").save()
    assert not logged(tmp_path)


def test_tasks(spark: SparkSession, tmp_path: Path) -> None:
    """As many as the plan has partitions, one of which gets nothing if there are no rows."""
    spark.dataSource.register(writing(Writer))
    assert save(spark.range(7).repartition(3), tmp_path / "three")[-1] == "commit [2, 2, 3]"
    assert save(spark.range(7).repartition(4).coalesce(1), tmp_path / "one")[-1] == "commit [7]"
    nothing = save(spark.createDataFrame([], "a int, b string"), tmp_path / "nothing")
    assert nothing == ["writer struct<a:int,b:string> False None", "write", "commit [0]"]
    spark.dataSource.register(writing(ArrowWriter))
    assert save(spark.createDataFrame([], "a int"), tmp_path / "arrow")[1:] == ["write", "commit [0]"]
    given = save(spark.range(2).repartition(1), tmp_path / "batches")
    assert given[1:] == ["write {'id': [0, 1]}", "commit [2]"]
    many = save(spark.range(200_000).repartition(2), tmp_path / "many")
    assert many[-1] == "commit [100000, 100000]"


def test_values_of_every_type(spark: SparkSession, tmp_path: Path) -> None:
    spark.dataSource.register(writing(Writer))
    frame = spark.sql(
        "SELECT 1 AS a, timestamp_ntz'2024-01-01 00:00:00' AS t, CAST(1.5 AS DECIMAL(5, 2)) AS d, array(1, null) AS r, "
        "map('k', 1) AS m, named_struct('p', 1) AS s, CAST('ab' AS BINARY) AS b, date'2024-01-02' AS dt, null AS n"
    )
    values = Row(
        a=1, t=dt.datetime(2024, 1, 1), d=Decimal("1.50"), r=[1, None], m={"k": 1}, s=Row(p=1), b=b"ab",  # noqa: DTZ001
        dt=dt.date(2024, 1, 2), n=None,
    )  # fmt: skip
    assert save(frame, tmp_path)[1] == f"write {values}"


def test_times_are_in_the_zone_of_the_session(spark: SparkSession, tmp_path: Path) -> None:
    """Those of Arrow batches; a row has the time of the machine that its worker runs on."""

    class Schemas(Writer, DataSourceArrowWriter):
        def write(self, iterator: Iterator[Any]) -> Wrote:
            for batch in iterator:
                log(self.folder, *(field.type for field in batch.schema), batch.column(0).cast("int64").to_pylist())
            return Wrote(1)

    spark.dataSource.register(writing(Schemas))
    spark.conf.set("spark.sql.session.timeZone", "America/Sao_Paulo")
    frame = spark.sql("SELECT timestamp'1970-01-01 00:00:00' AS t, timestamp_ntz'1970-01-01 00:00:00' AS n")
    told = "timestamp[us, tz=America/Sao_Paulo] timestamp[us] [10800000000]"
    assert save(frame.repartition(1), tmp_path)[1] == told


def test_a_writer_need_not_look_at_its_rows(spark: SparkSession, tmp_path: Path) -> None:
    class Lazy(Writer):
        def write(self, iterator: Iterator[Row]) -> Wrote:
            return Wrote(7)

    spark.dataSource.register(writing(Lazy))
    assert save(spark.range(100_000).repartition(1), tmp_path)[-1] == "commit [7]"


def raising(*_: Any, **__: Any) -> Any:
    raise ValueError("thrown by the user")


class Picky(Writer):
    def write(self, iterator: Iterator[Row]) -> Wrote:
        rows = list(iterator)
        if any(row.id == 6 for row in rows):
            raise ValueError("thrown by the user")
        return Wrote(len(rows))


def broken(**members: Any) -> type[Any]:
    return type("Broken", (Writer,), members)


FAILS: dict[str, tuple[type[DataSource], str, list[str]]] = {
    "write": (writing(broken(write=raising)), "was thrown from the Python worker.*thrown by", ["abort [-1, -1]"]),
    "a task": (writing(Picky), "exception was thrown from the Python worker.*thrown by", ["abort [-1"]),
    "no message": (
        writing(broken(write=lambda *_: None)),
        "Expected 'WriterCommitMessage' as the return type of the `write` method, but got NoneType",
        ["abort [-1, -1]"],
    ),
    "commit": (
        writing(broken(write=lambda *_: Wrote(1), commit=raising)),
        "Failed to commit or abort Python data source write.*thrown by",
        ["abort [1, 1]"],
    ),
    "abort": (writing(broken(write=raising, abort=raising)), "exception was thrown from the Python.*thrown by", []),
}  # fmt: skip
NOT_MADE: dict[str, tuple[type[DataSource], str]] = {
    "writer": (source("notes", writer=raising), "thrown by the user"),
    "no writer": (source("notes"), "writer is not implemented"),
    "no such writer": (
        source("notes", writer=lambda *_: 5),
        "Expected an instance of DataSourceWriter, but got 'int'",
    ),
}


def test_what_fails_is_aborted(spark: SparkSession, tmp_path: Path) -> None:
    for what, (cls, text, calls) in FAILS.items():
        spark.dataSource.register(cls)
        with pytest.raises(PySparkException, match=f"(?s){text}"):
            save(spark.range(7).repartition(2), tmp_path / what)
        found = logged(tmp_path / what)[1:]
        # Whether the other task has ended when one fails is chance.
        assert [call[: len(start)] for call, start in zip(found, calls, strict=True)] == calls, what


def test_what_cannot_be_made(spark: SparkSession, tmp_path: Path) -> None:
    for what, (cls, text) in NOT_MADE.items():
        spark.dataSource.register(cls)
        told = f"(?s)Failed to initialize Python data source writer.*{text}"
        with pytest.raises(AnalysisException, match=told) as caught:
            save(spark.range(1), tmp_path)
        assert caught.value.getCondition() == "PYTHON_DATA_SOURCE_ERROR", what


def test_a_write_can_be_interrupted(spark: SparkSession, tmp_path: Path) -> None:
    class Slow(Writer):
        def write(self, iterator: Iterator[Row]) -> Wrote:
            log(self.folder, "write", len(list(iterator)))
            time.sleep(600)
            return Wrote(0)

    spark.dataSource.register(writing(Slow))
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(save, spark.range(5).repartition(1), tmp_path)
        deadline = time.monotonic() + 60
        while "write 5" not in logged(tmp_path):
            assert time.monotonic() < deadline, "nothing is written"
            time.sleep(0.01)
        assert len(spark.interruptAll()) == 1
        with pytest.raises(PySparkException, match="OPERATION_CANCELED"):
            running.result(60)
    while logged(tmp_path)[-1] != "abort [-1]":
        assert time.monotonic() < deadline, "the write is not aborted"
        time.sleep(0.01)
