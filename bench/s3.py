"""Delta tables in object storage beside the same tables on a local disk, on riacho.

    python -m bench.s3 [ROUNDS]

The store is Moto on this machine, which is itself the slower part: what is measured is what riacho adds, not a network.
**Append**: 2 million rows of five columns in one commit. **Small appends**: ROUNDS (20) commits of 1,000 rows, the
median. **Read**: a sum over all rows; a sum over the rows of one file of many, found by the log. Spark is not beside
it: it needs hadoop-aws, with a large SDK.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from riacho.testing.s3 import S3Server, spark_settings
from riacho.testing.servers import riacho_server

ROOT = Path(__file__).resolve().parents[1]
ROWS = 2_000_000
SMALL = 1_000


def rows(spark: SparkSession, first: int, count: int) -> DataFrame:
    frame = spark.range(first, first + count)
    return frame.withColumns(
        {
            "user": F.concat(F.lit("user "), F.col("id") % 1000),
            "kind": F.when(F.col("id") % 3 == 0, "click").otherwise("view"),
            "amount": F.col("id") / 7,
            "at": F.timestamp_seconds(F.col("id")),
        }
    )


def timed(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def measure(spark: SparkSession, place: str, rounds: int) -> dict[str, float]:
    """Seconds, by job."""
    rows(spark, 0, SMALL).write.format("delta").save(f"{place}/warm")
    spark.read.format("delta").load(f"{place}/warm").collect()
    large, small = f"{place}/large", f"{place}/small"
    found = {"append 2 million rows": timed(lambda: rows(spark, 0, ROWS).write.format("delta").save(large))}
    times = []
    for number in range(rounds):
        frame = rows(spark, number * SMALL, SMALL)
        times.append(timed(lambda frame=frame: frame.write.format("delta").mode("append").save(small)))  # type: ignore[misc]
    found["append 1,000 rows (median)"] = statistics.median(times)
    table = spark.read.format("delta").load(large)
    found["sum over 2 million rows"] = timed(lambda: table.agg(F.sum("amount")).collect())
    one = spark.read.format("delta").load(small).where(f"id < {SMALL}")
    found["sum over one file of many"] = timed(lambda: one.agg(F.sum("amount")).collect())
    return found


def main(rounds: int) -> None:
    with tempfile.TemporaryDirectory(prefix="riacho-bench-") as name:
        folder = Path(name)
        with S3Server(ROOT / ".services" / "s3", folder) as store, riacho_server(folder / "riacho") as server:
            spark = SparkSession.builder.remote(server.url).create()
            for key, value in spark_settings(store.url).items():
                spark.conf.set(key, value)
            disk = measure(spark, str(folder / "disk"), rounds)
            bucket = measure(spark, store.bucket().url, rounds)
            spark.stop()
    print(f"{'job':30} {'bucket':>10} {'disk':>10}   ratio")
    for job, seconds in bucket.items():
        print(f"{job:30} {seconds * 1000:7,.0f} ms {disk[job] * 1000:7,.0f} ms {seconds / disk[job]:6.1f}x")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
