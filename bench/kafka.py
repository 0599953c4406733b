"""Kafka to Delta, on riacho and on Apache Spark: throughput, and the time from produced to visible.

    python -m bench.kafka [SECONDS]

**Throughput**: a topic of 4 partitions holds a million messages; a query with availableNow takes them into a Delta
table in batches of about 250,000. The rate is that of the whole query after a first, small run has warmed it up.
**Latency**: a producer sends 50,000 messages a second for SECONDS (20), each with its time; the query runs as fast as
it can. Each commit of the table is seen when its file appears, and tells how old its messages are then.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from pyspark.sql import DataFrame, SparkSession

from riacho.testing.kafka import KafkaBroker
from riacho.testing.servers import Server, riacho_server, spark_server

ROOT = Path(__file__).resolve().parents[1]
ORACLE, KAFKA = ROOT / ".oracle", ROOT / ".services" / "kafka"
MESSAGES = 1_000_000
RATE = 50_000
PARTITIONS = 4
BATCH = 250_000
MICROS = pa.timestamp("us", "UTC")
VALUE = b'{"id": 1234567, "user": "somebody", "kind": "click", "amount": 12.5, "at": "2026-01-01T00:00:00Z"}'


def topic_of(bootstrap: str, name: str, messages: int) -> str:
    """A topic with so many messages in it."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(name, PARTITIONS, 1)])[name].result(30)
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "linger.ms": 20,
            "queue.buffering.max.messages": 500_000,
            "partitioner": "random",
        }
    )
    for number in range(messages):
        while True:
            try:
                producer.produce(name, VALUE, str(number % 1000))
                break
            except BufferError:
                producer.poll(0.05)
    producer.flush()
    return name


def stream(spark: SparkSession, bootstrap: str, topic: str, **options: object) -> DataFrame:
    reader = spark.readStream.format("kafka").option("kafka.bootstrap.servers", bootstrap).option("subscribe", topic)
    frame = reader.option("startingOffsets", "earliest").options(**options).load()  # type: ignore[arg-type]
    return frame.selectExpr(
        "CAST(key AS STRING) key", "CAST(value AS STRING) value", "partition", "offset", "timestamp"
    )


def throughput(spark: SparkSession, bootstrap: str, small: str, large: str, folder: Path) -> float:
    """Messages a second."""
    rate = 0.0
    for topic, messages in ((small, 20_000), (large, MESSAGES)):
        began = time.monotonic()
        writer = stream(spark, bootstrap, topic, maxOffsetsPerTrigger=BATCH).writeStream.format("delta")
        query = writer.option("checkpointLocation", str(folder / topic / "c")).trigger(availableNow=True)
        assert query.start(str(folder / topic / "t")).awaitTermination(600)
        rate = messages / (time.monotonic() - began)
        assert spark.read.format("delta").load(str(folder / topic / "t")).count() == messages
    return rate


def latency(spark: SparkSession, bootstrap: str, topic: str, folder: Path, seconds: float) -> tuple[float, float]:
    """p50 and p95 from produced to visible, in milliseconds; the first quarter, until it is warm, does not count."""
    table = folder / topic / "t"
    writer = stream(spark, bootstrap, topic).writeStream.format("delta")
    query = writer.option("checkpointLocation", str(folder / topic / "c")).start(str(table))
    seen: dict[str, float] = {}
    done = threading.Event()
    watcher = threading.Thread(target=watch, args=(table / "_delta_log", seen, done))
    watcher.start()
    command = [sys.executable, __file__, "produce", bootstrap, topic, str(seconds)]
    subprocess.run(command, check=True)
    query.processAllAvailable()
    done.set()
    watcher.join()
    query.stop()
    ages: list[np.ndarray] = []
    began = min(seen.values())
    for name, at in seen.items():
        if at < began + seconds / 4:
            continue
        for line in (table / "_delta_log" / name).read_text().splitlines():
            add = json.loads(line).get("add")
            if add and add["dataChange"]:  # the others put small files together
                made = pq.read_table(table / add["path"], columns=["timestamp"])["timestamp"].cast(MICROS)
                ages.append(at * 1000 - made.cast(pa.int64()).to_numpy() / 1000)
    every = np.concatenate(ages)
    return float(np.percentile(every, 50)), float(np.percentile(every, 95))


def watch(log: Path, seen: dict[str, float], done: threading.Event) -> None:
    """Note when each commit appears."""
    while not done.wait(0.002):
        if log.exists():
            now = time.time()
            for path in log.glob("*.json"):
                seen.setdefault(path.name, now)


def produce(bootstrap: str, topic: str, seconds: float) -> None:
    """`RATE` messages a second, in a process of its own."""
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "linger.ms": 5,
            "queue.buffering.max.messages": 500_000,
            "partitioner": "random",
        }
    )
    began = time.monotonic()
    sent = 0
    while (passed := time.monotonic() - began) < seconds:
        for _ in range(int(passed * RATE) - sent):
            producer.produce(topic, VALUE)
            sent += 1
        producer.poll(0)
        time.sleep(0.002)
    producer.flush()
    print(f"  produced {sent / seconds:,.0f} a second", flush=True)


def measure(server: Server, broker: KafkaBroker, small: str, large: str, seconds: float, folder: Path) -> None:
    spark = SparkSession.builder.remote(server.url).create()
    rate = throughput(spark, broker.bootstrap, small, large, folder)
    print(f"{server.name}: {rate:,.0f} messages a second", flush=True)
    live = topic_of(broker.bootstrap, f"live-{uuid4().hex[:6]}", 0)
    p50, p95 = latency(spark, broker.bootstrap, live, folder, seconds)
    print(f"{server.name}: produced to visible p50 {p50:,.0f} ms, p95 {p95:,.0f} ms", flush=True)
    spark.stop()


def main(seconds: float) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="riacho-bench-") as name,
        KafkaBroker(KAFKA, Path(name) / "kafka") as broker,
    ):
        folder = Path(name)
        small, large = (topic_of(broker.bootstrap, f"in-{count}", count) for count in (20_000, MESSAGES))
        with riacho_server(folder / "riacho") as server:
            measure(server, broker, small, large, seconds, folder / "on-riacho")
        with spark_server(ORACLE, folder / "spark") as server:
            measure(server, broker, small, large, seconds, folder / "on-spark")


if __name__ == "__main__":
    if sys.argv[1:2] == ["produce"]:
        produce(sys.argv[2], sys.argv[3], float(sys.argv[4]))
    else:
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 20)
