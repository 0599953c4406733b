"""Events over HTTP, with a stream into Delta running; and the backlog of an endpoint into Delta beside Spark.

    python -m bench.ingest [SECONDS]

**Ingest**: 4 clients send requests of 500 events (150 bytes each) as fast as they are acknowledged for SECONDS (15),
first with no stream, then while a riacho server's stream parses them into a Delta table. At the end all are there, each
once. **Backlog**: an endpoint holds 500,000 events; a query with availableNow parses them into a Delta table, after a
small one has warmed the server up. Spark runs the same data source. With SPARK_REMOTE set, that Spark is asked.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from deltalake import DeltaTable
from pyspark.sql import DataFrame, SparkSession

from riacho.connectors import register
from riacho.connectors.ingest.writer import EventGroup, LogWriter
from riacho.ingest.client import IngestClient
from riacho.testing.ingest import RunningIngest, ingest_server
from riacho.testing.servers import Server, riacho_server, spark_server

ROOT = Path(__file__).resolve().parents[1]
ORACLE = ROOT / ".oracle"
IN_REQUEST = 500
CLIENTS = 4
BACKLOG = 500_000
BATCH = 100_000
SCHEMA = "id BIGINT, user STRING, kind STRING, amount DOUBLE, at TIMESTAMP, _offset BIGINT"
LIMIT_S = 600


def event(number: int) -> bytes:
    """150 bytes."""
    return (
        b'{"id":%d,"user":"user-%d","kind":"click","amount":%d.25,"at":"2026-01-01T00:%02d:%02dZ",'
        b'"agent":"Mozilla/5.0 (X11; Linux x86_64) Gecko"}'
    ) % (number, number % 1000, number % 97, number // 60 % 60, number % 60)


def send(url: str, endpoint: str, seconds: float) -> None:
    """In a process of its own: as much as is taken; prints events a second and the times of answers."""
    starts = range(0, 50_000, IN_REQUEST)
    bodies = [b"\n".join(event(number) for number in range(start, start + IN_REQUEST)) for start in starts]

    def one(_: int) -> list[float]:
        times: list[float] = []
        with IngestClient(url) as client:
            while (at := time.monotonic()) - began < seconds:
                client.post(endpoint, bodies[len(times) % len(bodies)], "application/x-ndjson")
                times.append(time.monotonic() - at)
        return times

    began = time.monotonic()
    with ThreadPoolExecutor(CLIENTS) as pool:
        times = [each for some in pool.map(one, range(CLIENTS)) for each in some]
    took = time.monotonic() - began
    count = len(times) * IN_REQUEST
    told = {"count": count, "rate": count / took, "p50": np.percentile(times, 50), "p95": np.percentile(times, 95)}
    print(json.dumps(told))


def sent(server: RunningIngest, endpoint: str, seconds: float, what: str) -> int:
    command = [sys.executable, "-m", "bench.ingest", "send", server.url, endpoint, str(seconds)]
    told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout)
    print(
        f"{what}: {told['rate']:,.0f} events a second, acknowledged after {told['p50'] * 1000:.1f} ms "
        f"(p95 {told['p95'] * 1000:.1f} ms)",
        flush=True,
    )
    return int(told["count"])


def stream(spark: SparkSession, folder: str, endpoint: str, **options: object) -> DataFrame:
    reader = spark.readStream.format("ingest").option("endpoint", endpoint).option("path", folder).schema(SCHEMA)
    return reader.options(**options).load()  # type: ignore[arg-type]


def live(server: Server, ingest: RunningIngest, seconds: float, folder: Path) -> None:
    spark = SparkSession.builder.remote(server.url).create()
    writer = stream(spark, ingest.folder, "live").writeStream.format("delta")
    query = writer.option("checkpointLocation", str(folder / "c")).start(str(folder / "t"))
    count = sent(ingest, "live", seconds, "ingest with a stream into Delta")
    began = time.monotonic()
    query.processAllAvailable()
    late = time.monotonic() - began
    query.stop()
    offsets = DeltaTable(folder / "t").to_pyarrow_table(columns=["_offset"])["_offset"].to_numpy()
    assert sorted(offsets) == list(range(count)), "events are missing or there twice"
    print(f"all {count:,} events are in Delta, each once, {late:.2f} s after the last", flush=True)
    spark.stop()


def backlog(server: Server, folder: Path, logs: Path) -> float:
    """Events a second."""
    spark = SparkSession.builder.remote(server.url).create()
    if server.name == "spark":
        register(spark, "ingest")
    rate = 0.0
    for endpoint, count in (("small", 10_000), ("large", BACKLOG)):
        began = time.monotonic()
        frame = stream(spark, str(logs), endpoint, maxOffsetsPerTrigger=BATCH, reader=server.name)
        writer = frame.writeStream.format("delta").option("checkpointLocation", str(folder / endpoint / "c"))
        query = writer.trigger(availableNow=True).start(str(folder / endpoint / "t"))
        assert query.awaitTermination(LIMIT_S), "it did not end in time"
        rate = count / (time.monotonic() - began)
        assert spark.read.format("delta").load(str(folder / endpoint / "t")).count() == count
    spark.stop()
    return rate


def filled(logs: Path) -> None:
    for endpoint, count in (("small", 10_000), ("large", BACKLOG)):
        log = LogWriter(logs / endpoint)
        for start in range(0, count, IN_REQUEST):
            log.append([EventGroup([event(number) for number in range(start, start + IN_REQUEST)])]).result()
        log.close()


def main(seconds: float) -> None:
    with tempfile.TemporaryDirectory(prefix="riacho-bench-") as name, ExitStack() as servers:
        folder = Path(name)
        folder.chmod(0o777)
        filled(folder / "logs")
        with ingest_server(folder) as ingest:
            sent(ingest, "alone", seconds, "ingest alone")
            with riacho_server(folder / "riacho") as server:
                live(server, ingest, seconds, folder / "live")
                riacho = backlog(server, folder / "on-riacho", folder / "logs")
        remote = os.environ.get("SPARK_REMOTE")
        there = Server("spark", remote, Path(os.devnull)) if remote else None
        spark = backlog(
            there or servers.enter_context(spark_server(ORACLE, folder / "spark")), folder / "on-spark", folder / "logs"
        )
        print(f"backlog: riacho {riacho:,.0f} events a second, Spark {spark:,.0f}, {riacho / spark:.1f} x")


if __name__ == "__main__":
    if sys.argv[1:2] == ["send"]:
        send(sys.argv[2], sys.argv[3], float(sys.argv[4]))
    else:
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 15)
