"""A server that runs a pipeline from files to a table with rules, and may be killed on the way.

    python pipeline_victim.py FOLDER [STEP BATCH | events before|behind | journal behind]

FOLDER/landing is read one file a batch into `default.kept`. STEP is one of a batch of its flow; "events" is the first
commit of events to the event log, "journal" when they are to be forgotten after that. Exits with 0 when the run ended.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any
from unittest import mock

from pyspark import pipelines as dp
from pyspark.sql import DataFrame, SparkSession

from riacho.ids import BatchId, QueryId
from riacho.server.connect.server import RiachoServer
from riacho.server.delta.log import DeltaLog
from riacho.server.graph.event_log.journal import FileSegment
from riacho.server.streaming.batch import BatchStep
from tests.spec.pipelines.support import Project

TABLE = """
    CREATE STREAMING TABLE kept (
      CONSTRAINT even EXPECT (id % 2 = 0) ON VIOLATION QUARANTINE ROW,
      CONSTRAINT low EXPECT (id % 10 < 8) ON VIOLATION DROP ROW,
      CONSTRAINT small EXPECT (id < 100)
    )
"""


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Killer:
    """Kills the server after a step of a batch."""

    def __init__(self, step: str, batch: int) -> None:
        self._at = (step, batch)

    def after(self, step: BatchStep, query_id: QueryId, batch_id: BatchId) -> None:
        if (step.value, batch_id) == self._at:
            die()


def kill_at_events(when: str) -> None:
    put = DeltaLog.put

    def watched(log: DeltaLog, version: int, content: bytes) -> bool:
        is_flush = log.table.name == "events" and b'"add"' in content
        if is_flush and when == "before":
            die()
        made = put(log, version, content)
        if is_flush and made:
            die()
        return made

    mock.patch.object(DeltaLog, "put", watched).start()


def kill_at_journal(_: str) -> None:
    mock.patch.object(FileSegment, "carried", die).start()


def main(folder: Path, *orders: str) -> None:
    killer: Any = None
    match orders:
        case ("events", when):
            kill_at_events(when)
        case ("journal", when):
            kill_at_journal(when)
        case (step, batch):
            killer = Killer(step, int(batch))
    server = RiachoServer(folder / "warehouse", port=0)
    server.start(killer)
    spark = SparkSession.builder.remote(server.url).create()

    def flow() -> None:
        @dp.append_flow(target="kept")
        def from_files() -> DataFrame:
            reader = spark.readStream.schema("id BIGINT").option("maxFilesPerTrigger", 1)
            return reader.json(str(folder / "landing"))

    outcome = Project(spark, "default", folder / "storage").run(TABLE, flow)
    assert outcome.completed, outcome.error
    spark.stop()
    server.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
