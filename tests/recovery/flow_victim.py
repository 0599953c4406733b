"""A server that runs a pipeline and may be killed at one step of a batch of one of its flows.

    python -m tests.recovery.flow_victim FOLDER once|files [server|engine STEP BATCH]
    python -m tests.recovery.flow_victim FOLDER files [server filed NUMBER]

"once": a flow that runs once puts 0 … 99 into the table shop.numbers. "files": two flows put the rows of FOLDER/in into
JSON files in FOLDER/out, each its own half. Exits with 0 when the run has ended well; a killed server does not exit at
all.
"""

from __future__ import annotations

import sys
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession

from riacho import pipelines as dp
from riacho.server.connect.server import RiachoServer
from tests.recovery.victim import Killer, watch_files
from tests.spec.pipelines.support import FAST_RETRIES, Project


def main(folder: Path, kind: str, *orders: str) -> None:
    killer = Killer(*orders) if orders else None
    if killer is not None and "filed" in orders:
        watch_files(killer)
    server = RiachoServer(folder / "warehouse", port=0)
    server.start(killer)
    if killer is not None:
        killer.backend = server.backend
    spark = SparkSession.builder.remote(server.url).create()
    for key, value in FAST_RETRIES.items():
        spark.conf.set(key, value)
    spark.sql("CREATE DATABASE IF NOT EXISTS shop")
    project = Project(spark, "shop", folder / "storage")

    def halves() -> None:
        dp.create_sink("outside", "json", {"path": str(folder / "out")})
        for half in range(2):

            @dp.append_flow(target="outside", name=f"half_{half}")
            def flow(half: int = half) -> DataFrame:
                landed = spark.readStream.schema("id BIGINT").option("maxFilesPerTrigger", 1).json(str(folder / "in"))
                return landed.where(f"id % 2 = {half}")

    once = """CREATE STREAMING TABLE numbers;
        CREATE FLOW fill AS INSERT INTO ONCE numbers BY NAME SELECT id FROM range(100)"""
    outcome = project.run(once if kind == "once" else halves)
    if outcome.error is not None:
        raise outcome.error
    spark.stop()
    server.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
