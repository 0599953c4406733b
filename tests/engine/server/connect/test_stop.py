"""SIGTERM ends a server in time, whatever its queries do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql.connect.session import SparkSession as ConnectSession

from riacho.ids import BatchId, QueryId, new_uuid
from riacho.protos import pb
from riacho.server.connect.server import RiachoServer
from riacho.server.streaming.batch import BatchStep
from riacho.server.streaming.request import StartRequest
from riacho.server.streaming.trigger import ProcessingTime
from riacho.testing.processes import descendants

LIMIT_S = 30
STOP_S = 18
"""Longer than the server gives itself, shorter than whoever waits for a container."""


@pytest.fixture
def process(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "riacho", "up", "--port", "0", "--warehouse", str(tmp_path / "lake")]
    with (tmp_path / "log").open("w") as log:
        started = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    yield started
    started.kill()
    started.wait()
    assert started.stdout is not None
    started.stdout.close()


@pytest.fixture
def spark(process: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch) -> SparkSession:
    # Other tests must not find a session whose server has ended: PySpark asks the last one that was made.
    monkeypatch.setattr(ConnectSession, "_default_session", None)
    monkeypatch.setattr(ConnectSession, "_active_session", threading.local())
    assert process.stdout is not None
    return SparkSession.builder.remote(process.stdout.readline().strip()).create()


def end(process: subprocess.Popen[str], log: Path) -> tuple[float, str]:
    """Send SIGTERM and wait for the end: how long that took, and what the server said."""
    children = descendants(process.pid)
    process.terminate()
    begin = time.monotonic()
    code = process.wait(STOP_S)
    took = time.monotonic() - begin
    assert code == 0
    deadline = time.monotonic() + LIMIT_S
    while left := [pid for pid in children if Path(f"/proc/{pid}").exists() and not is_zombie(pid)]:
        assert time.monotonic() < deadline, f"processes are left behind: {left}"
        threading.Event().wait(0.05)
    return took, log.read_text()


def is_zombie(pid: int) -> bool:
    with suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    return True


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.05)


def rate(spark: SparkSession) -> DataFrame:
    return spark.readStream.format("rate-micro-batch").option("rowsPerBatch", "2").load()


def test_with_queries_that_run_it_ends_at_once_and_quietly(
    process: subprocess.Popen[str], spark: SparkSession, tmp_path: Path
) -> None:
    seen = tmp_path / "seen"

    def keep(frame: DataFrame, batch_id: int) -> None:
        seen.write_text(str(frame.count()))

    query = rate(spark).writeStream.foreachBatch(keep).start()
    stopped = rate(spark).writeStream.foreachBatch(lambda frame, batch_id: None).start()
    rate(spark).writeStream.format("memory").queryName("m").start()
    until(seen.exists)
    stopped.stop()
    assert query.isActive
    took, log = end(process, tmp_path / "log")
    assert took < 6
    assert "Traceback" not in log


def test_stuck_in_a_function(process: subprocess.Popen[str], spark: SparkSession, tmp_path: Path) -> None:
    seen = tmp_path / "seen"

    def stay(frame: DataFrame, batch_id: int) -> None:
        import signal
        import time

        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        seen.write_text("here")
        while True:
            time.sleep(60)

    rate(spark).writeStream.foreachBatch(stay).start()
    until(seen.exists)
    end(process, tmp_path / "log")


def test_stuck_where_nothing_reaches_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("riacho.server.connect.server.QUERIES_LIMIT_S", 0.5)
    reached, released = threading.Event(), threading.Event()

    class Stuck:
        """A source that reads for ever, say."""

        def after(self, step: BatchStep, query_id: QueryId, batch_id: BatchId) -> None:
            reached.set()
            released.wait(LIMIT_S)

    server = RiachoServer(tmp_path / "lake", port=0)
    server.start(Stuck())
    relation = pb.Relation()
    relation.read.is_streaming = True
    relation.read.data_source.format = "rate-micro-batch"
    relation.read.data_source.options["rowsPerBatch"] = "1"
    request = StartRequest(relation, ProcessingTime(), name="stuck", format="noop")
    server.backend.start_query(new_uuid(), request)
    assert reached.wait(LIMIT_S)
    began = time.monotonic()
    server.stop()
    assert time.monotonic() - began < STOP_S
    assert "Query stuck is still busy" in caplog.text
    server.wait()
    released.set()


def test_stuck_in_the_engine(process: subprocess.Popen[str], spark: SparkSession, tmp_path: Path) -> None:
    query = rate(spark).writeStream.format("noop").start()
    until(lambda: query.lastProgress is not None)
    os.kill(engine_of(process.pid), signal.SIGSTOP)
    end(process, tmp_path / "log")


def test_stuck_in_a_start(process: subprocess.Popen[str], spark: SparkSession, tmp_path: Path) -> None:
    stream = rate(spark)
    stream.columns  # noqa: B018
    os.kill(engine_of(process.pid), signal.SIGSTOP)

    def start() -> None:
        with suppress(Exception):
            stream.writeStream.format("noop").start()

    threading.Thread(target=start, daemon=True).start()
    threading.Event().wait(0.5)
    end(process, tmp_path / "log")


def engine_of(pid: int) -> int:
    (engine,) = (child for child in descendants(pid) if b"engine.sail" in Path(f"/proc/{child}/cmdline").read_bytes())
    return engine


def test_workers_end_quietly_with_a_server_that_is_killed(
    process: subprocess.Popen[str], spark: SparkSession, tmp_path: Path
) -> None:
    def keep(frame: DataFrame, batch_id: int) -> None:
        frame.count()
        (seen / f"batch-{batch_id}").touch()

    def note(row: Row) -> None:
        (seen / "row").touch()
        if row.value > 0:
            threading.Event().wait()  # until it is killed

    seen = tmp_path / "seen"
    seen.mkdir()
    rate(spark).writeStream.foreachBatch(keep).start()
    rate(spark).writeStream.foreachBatch(keep).trigger(processingTime="1 hour").start()
    rate(spark).writeStream.foreach(note).start()
    rate(spark).writeStream.foreach(print).trigger(processingTime="1 hour").start()
    until(lambda: {"row", "batch-1"} <= {path.name for path in seen.iterdir()})
    children = descendants(process.pid)
    assert len(children) == 5, "the engine and four workers"
    process.kill()
    process.wait()
    until(lambda: all(is_zombie(pid) for pid in children))
    assert (tmp_path / "log").read_text().count("\n") == 1, "more than where the tables are"
