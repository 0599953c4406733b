"""A query that dies at any step of a batch leaves each late row in its table exactly once."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable
from pyspark.errors import StreamingQueryException
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from riacho.ids import BatchId, QueryId
from riacho.server.connect.server import RiachoServer
from riacho.server.streaming.batch import BatchStep
from riacho.server.streaming.operators.late import LateTable

MINUTES = [[5, 30], [6, 7, 31], [8, 60], [9, 35, 61]]
"""The event times of each batch; each batch is told in a file."""
LATE = [8, 9]
WINDOWS = [(0, 3), (30, 3)]
"""The windows that close, and how many rows they have."""
LIMIT_S = 60


class DeathError(Exception):
    """Ends a query where it stands."""


class Executioner:
    """Ends the query after a step of a batch, once."""

    def __init__(self) -> None:
        self.orders: tuple[BatchStep, int] | None = None

    def after(self, step: BatchStep, query_id: QueryId, batch_id: BatchId) -> None:
        if self.orders == (step, batch_id):
            self.orders = None
            raise DeathError


EXECUTIONER = Executioner()


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    server = RiachoServer(tmp_path_factory.mktemp("warehouse"), port=0)
    server.start(observer=EXECUTIONER)
    session = SparkSession.builder.remote(server.url).create()
    session.conf.set("spark.sql.session.timeZone", "UTC")
    yield session
    session.stop()
    server.stop()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    landing = tmp_path / "landing"
    landing.mkdir()
    for number, minutes in enumerate(MINUTES):
        rows = ({"ts": f"2024-01-01T{m // 60:02}:{m % 60:02}:00", "m": m} for m in minutes)
        path = landing / f"{number}.json"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        os.utime(path, (1_700_000_000 + number, 1_700_000_000 + number))
    return tmp_path


def run(spark: SparkSession, folder: Path) -> bool:
    """Go on with the query until it has taken in everything; False if it died on the way."""
    spark.conf.set("riacho.watermark.lateRows", str(folder / "late"))
    stream = (
        spark.readStream.schema("ts timestamp, m int").option("maxFilesPerTrigger", 1).json(str(folder / "landing"))
    )
    windows = stream.withWatermark("ts", "0 minutes").groupBy(F.window("ts", "10 minutes")).count()
    query = (
        windows.select(F.minute("window.start").alias("m"), "count")
        .writeStream.option("checkpointLocation", str(folder / "checkpoint"))
        .trigger(availableNow=True)
        .start(str(folder / "table"))
    )
    try:
        ended = query.awaitTermination(LIMIT_S)
    except StreamingQueryException as error:
        if "DeathError" not in str(error):
            raise
        return False
    assert ended, "the query did not end in time"
    return True


def told(folder: Path) -> tuple[list[int], list[tuple[int, int]]]:
    """The late rows, and what came out."""
    late = DeltaTable(folder / "late").to_pyarrow_table(columns=["m"])["m"].to_pylist()
    table = DeltaTable(folder / "table").to_pyarrow_table()
    return sorted(late), sorted(zip(table["m"].to_pylist(), table["count"].to_pylist(), strict=True))


@pytest.mark.parametrize("batch", [2, 3])
@pytest.mark.parametrize("step", list(BatchStep), ids=lambda step: step.value)
def test_after_any_step(spark: SparkSession, folder: Path, step: BatchStep, batch: int) -> None:
    EXECUTIONER.orders = (step, batch)
    assert not run(spark, folder)
    assert run(spark, folder)
    assert told(folder) == (LATE, WINDOWS)


def test_before_any_commit_of_either_table(spark: SparkSession, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link, tried = os.link, set[str]()

    def dying(source: Any, target: Any) -> None:
        """Dies at each commit of a table, the first time that it is tried."""
        if "_delta_log" in str(target) and str(target) not in tried:
            tried.add(str(target))
            raise DeathError
        link(source, target)

    monkeypatch.setattr(os, "link", dying)
    deaths = 0
    while not run(spark, folder):
        deaths += 1
        assert deaths <= len(tried)
    versions = [len(DeltaTable(folder / table).history()) for table in ("late", "table")]
    assert deaths == sum(versions)
    assert told(folder) == (LATE, WINDOWS)


def test_state_written_but_not_the_late_rows(
    spark: SparkSession, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dying(*_: object) -> None:
        raise DeathError

    with monkeypatch.context() as patch:
        patch.setattr(LateTable, "write", dying)
        assert not run(spark, folder)
    assert run(spark, folder)
    assert told(folder) == (LATE, WINDOWS)


def test_a_batch_without_late_rows_makes_no_version(spark: SparkSession, folder: Path) -> None:
    assert run(spark, folder)
    assert told(folder) == (LATE, WINDOWS)
    versions = DeltaTable(folder / "late").history()
    assert len(versions) == 3, "one to make the table, and two batches with late rows"
