"""Workers of Python data sources: rows in order, whatever else happens in other processes."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from pyspark import cloudpickle
from pyspark.sql.datasource import DataSource, DataSourceReader, InputPartition

from riacho.errors import PythonWorkerError
from riacho.server.engine.base import UserClass
from riacho.server.workers.sources import fork_server, reading, registered
from riacho.server.workers.sources.worker import SourceWorker
from riacho.testing.engine import FakeEngine

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # type: ignore[no-untyped-call]

SCHEMA = pa.schema([("n", pa.int64()), ("pid", pa.int64())])
ROWS = 20_000


class Numbers(DataSource):
    @classmethod
    def name(cls) -> str:
        return "numbers"

    def reader(self, schema: Any) -> DataSourceReader:
        return Reader(int(self.options["partitions"]), self.options.get("ends"))


class Reader(DataSourceReader):
    def __init__(self, partitions: int, ends: str | None) -> None:
        self.count, self.ends = partitions, ends

    def partitions(self) -> list[InputPartition]:
        return [InputPartition(n) for n in range(self.count)]

    def read(self, partition: InputPartition) -> Iterator[tuple[int, int]]:
        for number in range(ROWS):
            yield partition.value * ROWS + number, os.getpid()
        if str(partition.value) == self.ends:
            os._exit(3)
        if self.ends == "hangs":
            time.sleep(600)


def partition_reads(**options: str) -> tuple[reading.PartitionReads, list[bytearray]]:
    session = FakeEngine().session("s", "u")  # type: ignore[arg-type]
    code = cloudpickle.dumps(Numbers)  # type: ignore[no-untyped-call]
    source = registered.source_of("numbers", UserClass(code), options, session, SCHEMA)
    with source.made() as planner:
        wanted = {"columns": None, "limit": None}
        _, (reader, *partitions) = planner.call(
            "plan_read", [pickle.dumps([])], schema=source.schema_json, pushdown=False, **wanted
        )
    return reading.PartitionReads(reader, SCHEMA), partitions


def test_rows_are_in_the_order_of_their_partitions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "SIDE_BY_SIDE", 3)
    for aside in (32 << 20, 200_000, 0):  # what waits fits into memory, in part, or not at all
        monkeypatch.setattr(reading, "ASIDE_BYTES", aside)
        reads, partitions = partition_reads(partitions="7")
        for _ in range(2):
            found = pa.Table.from_batches(list(reads.rows(partitions)), SCHEMA)
            assert found["n"].to_pylist() == list(range(7 * ROWS))
            assert len(set(found["pid"].to_pylist())) > 1
        reads.close()


def test_a_worker_that_ends_fails_the_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "SIDE_BY_SIDE", 2)
    reads, partitions = partition_reads(partitions="3", ends="1")
    with pytest.raises(PythonWorkerError, match="The Python worker ended before it answered"):
        list(reads.rows(partitions))
    reads.close()


def test_a_read_that_nobody_wants_any_more_ends_its_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "SIDE_BY_SIDE", 2)
    reads, partitions = partition_reads(partitions="2", ends="hangs")
    rows = reads.rows(partitions)
    pid = next(rows)["pid"][0].as_py()
    rows.close()  # type: ignore[attr-defined]
    deadline = time.monotonic() + 10
    while is_running(pid):
        assert time.monotonic() < deadline, "the worker goes on"
        time.sleep(0.01)


def test_the_process_that_forks_workers_is_replaced() -> None:
    SourceWorker().stop()
    server = fork_server._fork_server
    assert server is not None
    worker = SourceWorker()
    os.kill(server._process.pid, signal.SIGKILL)
    server._process.wait(10)
    SourceWorker().stop()
    fork_server.kill_all()
    worker.stop()


def test_check_stop_ends_a_wait() -> None:
    asked: list[bool] = []

    def check() -> None:
        if asked:
            raise InterruptedError

    worker = SourceWorker(check)
    asked.append(True)
    with pytest.raises(InterruptedError):
        worker._received()  # it was asked nothing, so it never answers
    worker.stop()


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
