"""Made-up rows on riacho and on Apache Spark: rows a second, in batches and as a stream into Delta.

    python -m bench.faker [ROWS]

The rows have a UUID, a Zipf-distributed user, a choice, a time, a decimal, a name and an address of Faker's, and a text
that is computed from others. **Bare** is the generator alone, in this process. **Batch** counts the rows and adds up a
column; **stream** takes them into a Delta table in ten batches. Each is run once before, to warm up.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from pyspark.sql import SparkSession

from riacho.connectors import register
from riacho.connectors.faker import rows
from riacho.testing.servers import Server, riacho_server, spark_server

ORACLE = Path(__file__).resolve().parents[1] / ".oracle"
ROWS = 2_000_000
BATCHES = 10
LIMIT_S = 600
FIELDS = json.dumps(
    {
        "id": "uuid",
        "user": {"type": "zipf", "values": 10_000},
        "device": {"type": "choice", "values": {"TV": 3, "phone": 5, "desktop": 2}},
        "at": "timestamp",
        "amount": {"type": "lognormal", "mean": 3, "deviation": 1, "as": "decimal(12, 2)"},
        "name": "name",
        "address": "address",
        "label": {"expression": "f'{device}-{user}'"},
    }
)


def seconds(job: Callable[[int], object], count: int) -> float:
    job(count // 20)
    began = time.perf_counter()
    job(count)
    return time.perf_counter() - began


def measure(server: Server, folder: Path, count: int) -> dict[str, float]:
    """Rows a second of each job."""
    spark = SparkSession.builder.remote(server.url).create()
    if server.name == "spark":
        register(spark, "faker")

    def batch(some: int) -> None:
        frame = spark.read.format("faker").option("fields", FIELDS).option("count", some).load()
        frame.selectExpr("count(*)", "sum(amount)", "max(name)", "max(address)", "max(label)", "max(id)").collect()

    def stream(some: int) -> None:
        reader = spark.readStream.format("faker").option("fields", FIELDS).option("count", some)
        writer = reader.option("rowsPerBatch", some // BATCHES).load().writeStream.format("delta")
        writer = writer.option("checkpointLocation", str(folder / f"c{some}")).trigger(availableNow=True)
        assert writer.start(str(folder / f"t{some}")).awaitTermination(LIMIT_S)

    found = {name: count / seconds(job, count) for name, job in (("batch", batch), ("stream", stream))}
    spark.stop()
    return found


def main(count: int) -> None:
    bare = seconds(lambda some: sum(batch.num_rows for batch in rows(0, some, fields=FIELDS)), count)
    print(f"bare    {count / bare / 1000:8,.0f} k rows/s", flush=True)
    with tempfile.TemporaryDirectory(prefix="riacho-bench-") as name:
        folder = Path(name)
        with riacho_server(folder / "riacho") as server:
            riacho = measure(server, folder / "on-riacho", count)
        with spark_server(ORACLE, folder / "spark") as server:
            spark = measure(server, folder / "on-spark", count)
    for job, rate in riacho.items():
        print(
            f"{job:7} riacho {rate / 1000:8,.0f} k rows/s, Spark {spark[job] / 1000:8,.0f}, {rate / spark[job]:.1f} x"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS)
