"""A server with a continuous pipeline from JSON files through three tables, that may be killed at some step.

    python continuous_victim.py FOLDER [server|engine NUMBER]

FOLDER/landing is read one file a batch. NUMBER counts the steps that the batches of all flows go through, whichever
they are of. Exits with 0 when all rows have come to the last table; a killed server does not exit at all.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from itertools import count
from pathlib import Path

from pyspark import pipelines as dp
from pyspark.errors import PySparkException
from pyspark.pipelines.graph_element_registry import graph_element_registration_context
from pyspark.pipelines.spark_connect_graph_element_registry import SparkConnectGraphElementRegistry
from pyspark.pipelines.spark_connect_pipeline import create_dataflow_graph, start_run
from pyspark.sql import DataFrame, SparkSession

from riacho.ids import BatchId, QueryId
from riacho.server.connect.backend import Backend
from riacho.server.connect.server import RiachoServer
from riacho.server.streaming.batch import BatchStep

LIMIT_S = 60.0
ROWS = 60
CONF = {"pipelines.continuous": "true", "spark.sql.pipelines.execution.watchdog.minRetryTime": "1s"}
DEFINITIONS = """
CREATE STREAMING TABLE silver AS SELECT id, id % 3 AS kind FROM STREAM bronze;
CREATE STREAMING TABLE gold AS SELECT id FROM STREAM silver WHERE kind = 0;
CREATE MATERIALIZED VIEW totals AS SELECT kind, count(*) AS n FROM silver GROUP BY kind;
"""


class StepKiller:
    """Kills the server, or the engine's process once, at the step of that number."""

    def __init__(self, victim: str, number: str) -> None:
        self.backend: Backend | None = None
        self._victim = victim
        self._number = int(number)
        self._steps = count()

    def after(self, step: BatchStep, query_id: QueryId, batch_id: BatchId) -> None:
        if next(self._steps) != self._number:
            return
        if self._victim == "server":
            os.kill(os.getpid(), signal.SIGKILL)
        assert self.backend is not None
        os.kill(self.backend.engine_pid, signal.SIGKILL)


def run(spark: SparkSession, folder: Path) -> None:
    """Run the pipeline until it is stopped."""
    graph = create_dataflow_graph(spark, None, "default", CONF)
    registry = SparkConnectGraphElementRegistry(spark, graph)
    registry.register_sql(DEFINITIONS, Path("all.sql"))
    with graph_element_registration_context(registry):

        @dp.table
        def bronze() -> DataFrame:
            reader = spark.readStream.schema("id BIGINT").option("maxFilesPerTrigger", 1)
            return reader.json(str(folder / "landing"))

    try:
        for _ in start_run(
            spark,
            graph,
            full_refresh=None,
            full_refresh_all=False,
            refresh=None,
            dry=False,
            storage=(folder / "storage").as_uri(),
        ):
            pass
    except PySparkException as error:
        if "CANCELED" not in str(error):
            print(error, file=sys.stderr)
            os._exit(3)


def has_all(spark: SparkSession) -> bool:
    try:
        totals = spark.sql("SELECT sum(n) FROM totals").head()
        gold = spark.sql("SELECT count(*) FROM gold").head()
    except PySparkException:
        return False
    return bool(totals and gold and totals[0] == ROWS and gold[0] == ROWS // 3)


def main(folder: Path, *orders: str) -> None:
    killer = StepKiller(*orders) if orders else None
    server = RiachoServer(folder / "warehouse", port=0)
    server.start(killer)
    if killer is not None:
        killer.backend = server.backend
    url = f"sc://localhost:{server.port}"
    running, looking = (SparkSession.builder.remote(url).create() for _ in range(2))
    update = threading.Thread(target=run, args=(running, folder), daemon=True)
    update.start()
    deadline = time.monotonic() + LIMIT_S
    while not has_all(looking):
        assert time.monotonic() < deadline, "the rows did not come through in time"
        time.sleep(0.05)
    running.interruptAll()
    update.join(LIMIT_S)
    assert not update.is_alive(), "the update did not end"
    for session in (running, looking):  # later, the client would look for the server for ten minutes
        session.stop()
    server.stop()


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), *sys.argv[2:])
    except AssertionError as error:
        print(error, file=sys.stderr)
        os._exit(4)
