"""foreach: a function, or an object with open, process and close, is given each row."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pyspark.errors import AnalysisException, PySparkException, StreamingQueryException
from pyspark.sql import Row, SparkSession
from pyspark.sql.streaming.readwriter import DataStreamWriter

from riacho.testing.servers import Server
from tests.spec.support import files, finish, last_progress, said, write_json

Note = Callable[[object], None]
NAIVE = dt.datetime(2024, 1, 31, 10, 20, 30)  # noqa: DTZ001 - as rows have it


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    for number in range(2):
        write_json(tmp_path / "landing" / f"{number}.json", [{"id": number}, {"id": number + 10}])
    return tmp_path / "landing"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out.txt"


@pytest.fixture
def note(out: Path) -> Note:
    """Adds a line to `out`, from whichever process it is called in."""
    path = str(out)

    def add(text: object) -> None:
        with open(path, "a") as file:  # noqa: PTH123 - goes to another process as it stands
            file.write(f"{text}\n")

    return add


def run(writer: DataStreamWriter) -> None:
    finish(writer.trigger(availableNow=True).start())


def lines(out: Path) -> list[str]:
    found = out.read_text().splitlines()
    out.unlink()
    return found


def test_a_function_gets_each_row(spark: SparkSession, landing: Path, out: Path, note: Note) -> None:
    run(files(spark, landing, maxFilesPerTrigger=1).writeStream.foreach(note))
    assert lines(out) == ["Row(id=0)", "Row(id=10)", "Row(id=1)", "Row(id=11)"]


def test_an_object_is_opened_and_closed_for_each_batch(
    spark: SparkSession, landing: Path, out: Path, note: Note
) -> None:
    class Writer:
        def __init__(self) -> None:
            self.rows: list[int] = []

        def open(self, partition_id: int, epoch_id: int) -> bool:
            from pyspark.taskcontext import TaskContext

            context: Any = TaskContext.get()  # (pytest makes more of an `assert` than can go to another process)
            batch = context.getLocalProperty("streaming.sql.batchId")
            note(f"open {partition_id} {epoch_id} {self.rows} {context.partitionId()} {batch}")
            return True

        def process(self, row: Row) -> None:
            self.rows.append(row.id)

        def close(self, error: Exception | None) -> None:
            note(f"close {error} {self.rows}")

    stream = files(spark, landing, maxFilesPerTrigger=1)
    query = finish(stream.writeStream.foreach(Writer()).trigger(availableNow=True).start())
    assert lines(out) == ["open 0 0 [] 0 0", "close None [0, 10]", "open 0 1 [] 0 1", "close None [1, 11]"]
    assert last_progress(query).sink.numOutputRows == 2
    run(stream.where("id > 100").writeStream.foreach(Writer()))
    assert lines(out) == ["open 0 0 [] 0 0", "close None []", "open 0 1 [] 0 1", "close None []"]


def test_a_partition_can_be_left_out(spark: SparkSession, landing: Path, out: Path, note: Note) -> None:
    class Writer:
        def __init__(self, opens: object) -> None:
            self.opens = opens

        def open(self, partition_id: int, epoch_id: int) -> object:
            return self.opens if epoch_id == 0 else True

        def process(self, row: Row) -> None:
            note(row.id)

        def close(self, error: Exception | None) -> None:
            note(f"close {error}")

    class Process:
        def process(self, row: Row) -> None:
            note(row.id)

    stream = files(spark, landing, maxFilesPerTrigger=1)
    for opens in (False, None):
        query = finish(stream.writeStream.foreach(Writer(opens)).trigger(availableNow=True).start())
        assert lines(out) == ["close None", "1", "11", "close None"]
        assert [report.sink.numOutputRows for report in query.recentProgress] == [2, 2]
    run(stream.writeStream.foreach(Process()))
    assert lines(out) == ["0", "10", "1", "11"]


def test_what_it_raises_ends_the_query(spark: SparkSession, landing: Path, out: Path, note: Note) -> None:
    class Writer:
        def __init__(self, where: str) -> None:
            self.where = where

        def refuse(self, where: str) -> None:
            if where == self.where:
                raise ValueError(f"not in {where}")

        def open(self, partition_id: int, epoch_id: int) -> bool:
            self.refuse("open")
            return True

        def process(self, row: Row) -> None:
            self.refuse("process")

        def close(self, error: Exception | None) -> None:
            note(repr(error))
            self.refuse("close")

    def leave(row: Row) -> None:
        raise SystemExit(3)

    def imports(row: Row) -> None:
        import no_such_module  # type: ignore[import-not-found]  # noqa: F401

    stream = files(spark, landing, maxFilesPerTrigger=1)
    for function, reason in (
        (Writer("open"), "ValueError: not in open"),
        (Writer("process"), "ValueError: not in process"),
        (Writer("close"), "ValueError: not in close"),
        (leave, "SystemExit: 3"),
        (imports, "ModuleNotFoundError: No module named 'no_such_module'"),
        (lambda: None, "takes 0 positional arguments but 1 was given"),
        (_Broken("1/0"), "ZeroDivisionError"),
    ):
        query = stream.writeStream.foreach(_on_rows(function)).trigger(availableNow=True).start()
        with pytest.raises(StreamingQueryException, match=reason) as caught:
            finish(query)
        assert "[PYTHON_EXCEPTION] An exception was thrown from the Python worker: Traceback" in str(caught.value)
        assert not query.isActive
    assert lines(out) == ["ValueError('not in process')", "None"]


class _Broken:
    """What cannot be unpickled."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __reduce__(self) -> tuple[object, ...]:
        return eval, (self.text,)


def _on_rows(function: Any) -> Any:
    return (lambda row: print(function)) if isinstance(function, _Broken) else function


def test_a_batch_that_failed_is_given_again(spark: SparkSession, landing: Path, out: Path, note: Note) -> None:
    def fail_late(row: Row) -> None:
        note(row.id)
        if row.id == 11:
            raise ValueError("not today")

    def end(row: Row) -> None:
        import os
        import signal

        once = os.path.exists(marker)  # noqa: PTH110
        note(row.id)
        if row.id == 11 and not once:
            note_of_death(marker)
            os.kill(os.getpid(), signal.SIGKILL)

    def note_of_death(path: str) -> None:
        with open(path, "w"):  # noqa: PTH123
            pass

    marker = str(out.with_name("marker"))
    for number, first in enumerate((fail_late, end)):
        checkpoint = str(out.with_name(f"checkpoint-{number}"))
        for function in (first, note_id := (lambda row: note(row.id))):
            stream = files(spark, landing, maxFilesPerTrigger=1).writeStream.foreach(function)
            try:
                run(stream.option("checkpointLocation", checkpoint))
            except StreamingQueryException:
                assert function is not note_id
        assert lines(out) == ["0", "10", "1", "11", "1", "11"]


def test_rows_have_the_values_that_collect_gives(spark: SparkSession, landing: Path, out: Path, note: Note) -> None:
    stream = files(spark, landing, maxFilesPerTrigger=1).where("id = 0")
    columns = {
        "b": "CAST(1 AS TINYINT)",
        "s": "CAST(NULL AS STRING)",
        "f": "CAST(1.5 AS FLOAT)",
        "dec": "CAST('1.50' AS DECIMAL(10, 2))",
        "d": "DATE '2024-01-31'",
        "ts": "TIMESTAMP '2024-01-31 10:20:30.123456'",
        "tn": "TIMESTAMP_NTZ '2024-01-31 10:20:30.123456'",
        "bin": "X'0102'",
        "a": "array(X'01', NULL)",
        "m": "map('k', named_struct('x', TIMESTAMP '2024-01-31 10:20:30'))",
        "st": "named_struct('a b', 1, 'c', named_struct('d', 'e'))",
        "i": "INTERVAL '1' DAY",
        "n": "NULL",
        "`same`": "1",
        "`a b`": "true",
    }
    wanted = stream.selectExpr(*(f"{value} AS {name}" for name, value in columns.items()), "2 AS same")
    run(
        wanted.writeStream.foreach(lambda row: note([row, row.__fields__, row.st.c.d, row.asDict(recursive=True)["m"]]))
    )
    time = dt.datetime(2024, 1, 31, 10, 20, 30, tzinfo=dt.UTC).astimezone().replace(tzinfo=None)
    values = [
        1,
        None,
        1.5,
        Decimal("1.50"),
        dt.date(2024, 1, 31),
        time.replace(microsecond=123456),
        NAIVE.replace(microsecond=123456),
        b"\x01\x02",
        [b"\x01", None],
        {"k": Row(x=time)},
        Row("a b", "c")(1, Row(d="e")),
        dt.timedelta(days=1),
        None,
        1,
        True,
        2,
    ]
    names = [*(name.strip("`") for name in columns), "same"]
    assert lines(out) == [repr([Row(*names)(*values), names, "e", {"k": {"x": time}}])]


def test_times_do_not_depend_on_the_session(spark: SparkSession, landing: Path, out: Path, note: Note) -> None:
    spark.conf.set("spark.sql.session.timeZone", "America/Sao_Paulo")
    stream = files(spark, landing, maxFilesPerTrigger=1).where("id = 0")
    times = stream.selectExpr("TIMESTAMP '2024-01-31 10:20:30' AS t", "TIMESTAMP_NTZ '2024-01-31 10:20:30' AS n")
    run(times.writeStream.foreach(note))
    there = dt.datetime(2024, 1, 31, 13, 20, 30, tzinfo=dt.UTC).astimezone().replace(tzinfo=None)
    assert lines(out) == [repr(Row(t=there, n=NAIVE))]


def test_every_output_mode(spark: SparkSession, landing: Path, out: Path, note: Note) -> None:
    counts = files(spark, landing, maxFilesPerTrigger=1).groupBy("id").count()
    for mode, seen in (("update", ["0", "1", "10", "11"]), ("complete", ["0", "0", "1", "10", "10", "11"])):
        run(counts.writeStream.outputMode(mode).foreach(lambda row: note(row.id)))
        assert sorted(lines(out)) == seen


def test_what_it_cannot_be_together_with(
    spark: SparkSession, landing: Path, out: Path, note: Note, database: str
) -> None:
    stream = files(spark, landing, maxFilesPerTrigger=1)
    with pytest.raises(AnalysisException, match=r"'foreach' does not support partitioning\."):
        stream.writeStream.foreach(note).partitionBy("id").start()
    for name, writer in (
        ("foreach", stream.writeStream.foreach(note)),
        ("foreachBatch", stream.writeStream.foreachBatch(lambda frame, batch_id: None)),
    ):
        with pytest.raises(PySparkException, match="DATA_SOURCE_NOT_FOUND") as caught:
            writer.toTable(f"{database}.t")
        assert f"Failed to find the data source: {name}." in said(caught.value)
    assert not spark.catalog.tableExists(f"{database}.t")
    run(stream.writeStream.format("nosuch").foreach(note))
    assert len(lines(out)) == 4
    run(stream.writeStream.foreach(note).foreachBatch(lambda frame, batch_id: note(batch_id)))
    assert lines(out) == ["0", "1"]


@pytest.mark.riacho_only
def test_what_it_prints_is_on_the_servers_console(spark: SparkSession, server: Server, landing: Path) -> None:
    if not server.log.is_file():
        pytest.skip("what a server prints can be read only if the tests start it: unset SPARK_REMOTE")
    before = server.log.stat().st_size
    run(files(spark, landing).writeStream.foreach(lambda row: print("seen", row.id)))
    printed = server.log.read_bytes()[before:].decode()
    assert [line for line in printed.splitlines() if line.startswith("seen ")] == [
        "seen 0",
        "seen 10",
        "seen 1",
        "seen 11",
    ]
