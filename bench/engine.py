"""The bare engine on the same files: what reading them costs without streams, checkpoints or Spark's rules.

It reads the JSON files with its own reader, computes the same columns and writes Parquet files. It takes `"12"` and
`1.5` for whole numbers, and a single malformed line would fail the job, in every mode.
"""

from __future__ import annotations

import time
from pathlib import Path

from pyspark.sql import SparkSession

from bench.events import SCHEMA
from bench.jobs import prepared
from riacho.server.engine.sail.child import EngineChild


def rates(landing: Path, folder: Path, rows: int, rounds: int) -> list[float]:
    """Rows a second from JSON to Parquet, once for each round; a first one, not counted, warms the engine up."""
    child = EngineChild()
    try:
        spark = SparkSession.builder.remote(f"sc://127.0.0.1:{child.port()}").create()
        spark.conf.set("spark.sql.session.timeZone", "UTC")
        found = []
        for number in range(rounds + 1):
            began = time.perf_counter()
            prepared(spark.read.schema(SCHEMA).json(str(landing))).write.parquet(str(folder / str(number)))
            found.append(rows / (time.perf_counter() - began))
        spark.stop()
        return found[1:]
    finally:
        child.stop()
