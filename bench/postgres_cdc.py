"""Changes of PostgreSQL into Delta, on riacho and on Apache Spark: the same Python data source on both.

    python -m bench.postgres_cdc [SPARK_URL]

A table of 150,000 rows is filled and each row updated once while a stream looks on from a slot: 300,000 changes, taken
in by one query with availableNow after a small run has warmed it up. **The reader by itself** is timed too: from the
look into the slot to Arrow batches, without an engine. With a URL that server stands for Spark; else one is started.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from uuid import uuid4

from pyspark.sql import SparkSession

from riacho.connectors import register
from riacho.connectors.postgres_cdc.source import PostgresCdcSource
from riacho.testing.postgres import PostgresServer
from riacho.testing.servers import Server, riacho_server, spark_server

ROOT = Path(__file__).resolve().parents[1]
ORACLE, POSTGRES = ROOT / ".oracle", ROOT / ".services" / "postgres"
ROWS = 150_000
WARM = 1_000


def changes(postgres: PostgresServer, rows: int) -> dict[str, str]:
    """The options of a stream that has two changes of each row before it."""
    name = f"t_{uuid4().hex[:8]}"
    postgres.execute(f"""CREATE TABLE {name} (id bigint PRIMARY KEY, name text, price numeric(10,2), at timestamptz,
        flag bool, amount int); CREATE PUBLICATION {name} FOR TABLE {name}""")
    postgres.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", name)
    postgres.execute(f"""INSERT INTO {name}
        SELECT g, 'name of ' || g, g / 7.0, now(), g % 2 = 0, g FROM generate_series(1, {rows}) g""")
    for part in range(10):
        postgres.execute(f"UPDATE {name} SET amount = amount + 1 WHERE id % 10 = {part}")
    url = postgres.url
    return {"url": url, "tables": name, "slot": name, "snapshotMode": "never", "maxBytesPerTrigger": "1g"}


def reader(options: dict[str, str]) -> float:
    """Changes a second, to Arrow."""
    source = PostgresCdcSource(options)
    stream: Any = source.streamReader(source.schema())
    start = stream.latestOffset(stream.initialOffset(), stream.getDefaultReadLimit())
    began = time.monotonic()
    end = stream.latestOffset(start, stream.getDefaultReadLimit())
    (partition,) = stream.partitions(start, end)
    count: int = sum(batch.num_rows for batch in stream.read(partition))
    stream.stop()
    assert count == 2 * ROWS
    return count / (time.monotonic() - began)


def stream(server: Server, warm: dict[str, str], options: dict[str, str], folder: Path) -> float:
    """Changes a second, to Delta."""
    spark = SparkSession.builder.remote(server.url).create()
    register(spark, "postgres_cdc")
    rate = 0.0
    for given, rows in ((warm, WARM), (options, ROWS)):
        place = folder / server.name / given["tables"]
        began = time.monotonic()
        frame = spark.readStream.format("postgres_cdc").options(**given).load()
        writer = frame.writeStream.format("delta").option("checkpointLocation", str(place / "c"))
        assert writer.trigger(availableNow=True).start(str(place / "t")).awaitTermination(600)
        rate = 2 * rows / (time.monotonic() - began)
        assert spark.read.format("delta").load(str(place / "t")).count() == 2 * rows
    spark.stop()
    print(f"{server.name}: {rate:,.0f} changes a second into Delta", flush=True)
    return rate


def main(spark_url: str | None) -> None:
    with tempfile.TemporaryDirectory(prefix="riacho-bench-") as name, PostgresServer(POSTGRES) as postgres:
        folder = Path(name)
        print(f"the reader by itself: {reader(changes(postgres, ROWS)):,.0f} changes a second to Arrow", flush=True)
        with riacho_server(folder / "server") as server:
            ours = stream(server, changes(postgres, WARM), changes(postgres, ROWS), folder)
        given = None if spark_url is None else Server("spark", spark_url, Path(os.devnull))
        with nullcontext(given) if given else spark_server(ORACLE, folder / "oracle") as server:
            theirs = stream(server, changes(postgres, WARM), changes(postgres, ROWS), folder)
        print(f"riacho is {ours / theirs:.1f} times as fast")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
