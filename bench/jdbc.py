"""PostgreSQL read and written with `format("jdbc")`, on riacho and on Apache Spark.

    python -m bench.jdbc [ROWS]

A table has ROWS (1,000,000) rows of BIGINT, TEXT, NUMERIC, TIMESTAMP WITH TIME ZONE and DOUBLE PRECISION. **Read**: all
rows go into a `noop` write, from one connection and from four, with `fetchsize` 10,000 for Spark's sake. **Write**:
rows made by `range` are appended to an empty table, with `batchsize` 10,000 and `reWriteBatchedInserts`. Each is done
once to warm up, and then three times; the best counts. `SPARK_REMOTE` names a Spark that is there already.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from pyspark.sql import SparkSession

from riacho.testing.postgres import PASSWORD, PostgresServer
from riacho.testing.servers import riacho_server, spark_server

ROOT = Path(__file__).resolve().parents[1]
ORACLE, POSTGRES = ROOT / ".oracle", ROOT / ".services" / "postgres"
COLUMNS = (
    "id", "concat('name ', id) AS name", "cast(id / 4 AS DECIMAL(12,2)) AS amount", "timestamp_seconds(id) AS at",
    "id / 3d AS ratio",
)  # fmt: skip
TABLE = """
CREATE TABLE {name} (id bigint, name text, amount numeric(12,2), at timestamptz, ratio double precision)
"""
RUNS = 3


def best(job: Callable[[], None], ready: Callable[[], None] = lambda: None) -> float:
    """Seconds of the quickest of some runs, after one that does not count. `ready` comes before each."""
    times = []
    for _ in range(RUNS + 1):
        ready()
        began = time.perf_counter()
        job()
        times.append(time.perf_counter() - began)
    return min(times[1:])


def measure(spark: SparkSession, server: PostgresServer, rows: int) -> dict[str, float]:
    url = f"jdbc:postgresql://127.0.0.1:{server.port}/postgres?user=postgres&password={PASSWORD}"
    source = spark.read.format("jdbc").options(url=url, dbtable="big", fetchsize=10_000)
    one = source.load()
    four = source.options(partitionColumn="id", lowerBound=0, upperBound=rows, numPartitions=4).load()
    made = spark.range(rows).selectExpr(*COLUMNS)
    target = made.write.format("jdbc").options(
        url=f"{url}&reWriteBatchedInserts=true", dbtable="filled", batchsize=10_000
    )

    def empty() -> None:
        server.execute("TRUNCATE filled")

    found = {
        "read": best(lambda: one.write.format("noop").mode("overwrite").save()),
        "read, 4 partitions": best(lambda: four.write.format("noop").mode("overwrite").save()),
        "write": best(lambda: target.mode("append").save(), empty),
    }
    assert server.execute("SELECT count(*) FROM filled") == [(rows,)]
    return found


def main(rows: int = 1_000_000) -> None:
    results: dict[str, dict[str, float]] = {}
    with PostgresServer(POSTGRES) as server:
        server.execute(TABLE.format(name="big") + ";" + TABLE.format(name="filled"))
        server.execute(
            "INSERT INTO big SELECT g, 'name ' || g, g / 4.0, to_timestamp(g), g / 3.0 "
            f"FROM generate_series(0, {rows - 1}) g"
        )
        server.execute("VACUUM ANALYZE big")
        for name in ("riacho", "spark"):
            with ExitStack() as stack:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="riacho-bench-")))
                remote = os.environ.get("SPARK_REMOTE") if name == "spark" else None
                if remote is None:
                    started = riacho_server(folder) if name == "riacho" else spark_server(ORACLE, folder)
                    remote = stack.enter_context(started).url
                spark = SparkSession.builder.remote(remote).create()
                results[name] = measure(spark, server, rows)
                spark.stop()
    print(f"{rows:,} rows       riacho     Spark   times as fast")
    for job, seconds in results["riacho"].items():
        other = results["spark"][job]
        print(f"{job:<18} {seconds:>6.2f} s  {other:>6.2f} s  {other / seconds:>6.1f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
