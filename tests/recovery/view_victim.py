"""A server that refreshes materialized views after rows were added to what they read, and may be killed on the way.

    python view_victim.py FOLDER RUN [VIEW before|behind|state]

Run number RUN adds three sales; the first makes the table. VIEW is killed at before or behind its commit, or when the
groups that it keeps have been written and its commit has not. Exits with 0 when the run has ended.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from unittest import mock

from pyspark.sql import SparkSession

from riacho.protos import pb
from riacho.server.connect.server import RiachoServer
from riacho.server.delta.log import DeltaLog
from riacho.server.graph.views.groups import KeptGroups
from tests.spec.pipelines.support import Project

VIEWS = {
    "kept": "SELECT id, amount * 2 AS twice FROM sales WHERE amount > 1",
    "counted": "SELECT name, count(*) AS n, sum(amount) AS amount, avg(id) AS middle FROM sales GROUP BY name",
}


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_at_commit(view: str, when: str) -> None:
    put = DeltaLog.put

    def watched(log: DeltaLog, version: int, content: bytes) -> bool:
        due = log.table.name == view and b"riachoView" in content
        if due and when == "before":
            kill()
        made = put(log, version, content)
        if due:
            kill()
        return made

    mock.patch.object(DeltaLog, "put", watched).start()


def kill_after_groups() -> None:
    take = KeptGroups.take

    def watched(groups: KeptGroups, version: int, rows: pb.Relation) -> None:
        take(groups, version, rows)
        kill()

    mock.patch.object(KeptGroups, "take", watched).start()


def main(folder: Path, run: int, *orders: str) -> None:
    server = RiachoServer(folder / "warehouse", port=0)
    server.start()
    spark = SparkSession.builder.remote(server.url).create()
    spark.sql("CREATE TABLE IF NOT EXISTS sales (id BIGINT, name STRING, amount INT) USING delta")
    if spark.table("sales").where(f"id DIV 10 = {run}").isEmpty():
        spark.sql(f"INSERT INTO sales VALUES ({run}0, 'a', {run}), ({run}1, 'b{run}', 2), ({run}2, 'c', 1)")
    if orders[1:] == ("state",):
        kill_after_groups()
    elif orders:
        kill_at_commit(*orders)
    views = [f"CREATE MATERIALIZED VIEW {name} AS {query}" for name, query in VIEWS.items()]
    outcome = Project(spark, "default", folder / "storage").run(*views)
    assert outcome.completed, outcome
    for name, query in VIEWS.items():
        assert sorted(map(tuple, spark.table(name).collect())) == sorted(map(tuple, spark.sql(query).collect())), name
    spark.stop()
    server.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
