"""A server that runs a pipeline, then replays what it quarantined, and may be killed at one commit of the replay.

    python replay_victim.py FOLDER [COMMIT before|behind]

FOLDER/warehouse has the tables `default.kept` of rows 0 to 99, which are quarantined first where they are odd. Exits
with 0 when the replay has ended.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from unittest import mock

from pyspark.sql import SparkSession

from riacho.server.connect.server import RiachoServer
from riacho.server.delta.log import DeltaLog
from tests.spec.pipelines.support import Project

ROWS = 100
PIPELINE = """
    CREATE STREAMING TABLE kept (id BIGINT, CONSTRAINT even EXPECT ({rule}) ON VIOLATION QUARANTINE ROW)
    AS SELECT id FROM STREAM base;
"""


def kill_at(commit: int, when: str) -> None:
    """Kill this process before or behind the commit of that number to `kept` or its quarantine."""
    put = DeltaLog.put
    done = 0

    def watched(log: DeltaLog, version: int, content: bytes) -> bool:
        nonlocal done
        if "kept" not in str(log.table):
            return put(log, version, content)
        if when == "before" and done == commit:
            os.kill(os.getpid(), signal.SIGKILL)
        made = put(log, version, content)
        if when == "behind" and made and done == commit:
            os.kill(os.getpid(), signal.SIGKILL)
        done += made
        return made

    mock.patch.object(DeltaLog, "put", watched).start()


def main(folder: Path, *orders: str) -> None:
    server = RiachoServer(folder / "warehouse", port=0)
    server.start()
    spark = SparkSession.builder.remote(server.url).create()
    project = Project(spark, "default", folder / "storage")
    if not spark.catalog.tableExists("base"):
        spark.range(ROWS).write.saveAsTable("base")
        assert project.run(PIPELINE.format(rule="id % 2 = 0")).completed
    if orders:
        kill_at(int(orders[0]), orders[1])
    outcome = project.run(PIPELINE.format(rule="id >= 0"), conf={"riacho.pipelines.replay": "*"})
    assert outcome.completed, outcome.error
    spark.stop()
    server.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
