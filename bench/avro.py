"""Avro messages on riacho and on Apache Spark: decoded in a stream, and written, in messages a second.

`python -m bench.avro` prints the table and writes it into bench/README.md; `--rows 200000` is a smaller run that only
prints it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.avro.functions import from_avro, to_avro

from bench import page
from bench.run import CORES, SERVERS
from riacho.server.formats.avro.encode import AvroEncoder

ROWS = 4_000_000
FILES = 8
ROUNDS = 3
LIMIT_S = 600
SCHEMA = """{"type": "record", "name": "Order", "fields": [
    {"name": "id", "type": "long"},
    {"name": "customer", "type": "string"},
    {"name": "amount", "type": "double"},
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "paid", "type": "boolean"},
    {"name": "note", "type": ["null", "string"]},
    {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["NEW", "CHANGED", "GONE"]}},
    {"name": "tags", "type": {"type": "array", "items": "string"}}]}"""
HEADER = b"\0\0\0\0\1"
"""Before each message, as Confluent's clients write them."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=ROWS, help="messages in all")
    parser.add_argument("--only", choices=sorted(SERVERS), help="one server alone")
    arguments = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    with tempfile.TemporaryDirectory(prefix="riacho-bench-") as folder:
        write_messages(Path(folder, "messages"), arguments.rows)
        names = [arguments.only] if arguments.only else list(SERVERS)
        rates = {name: _measure(name, Path(folder), arguments.rows) for name in names}
    if len(rates) == len(SERVERS):
        table = _table(rates["riacho"], rates["spark"])
        print(table)
        if arguments.rows == ROWS:
            page.write("avro", table, f"{CORES} cores, {ROUNDS} rounds on each, medians")


def write_messages(folder: Path, rows: int) -> None:
    """Parquet files with a column of messages."""
    folder.mkdir()
    each = rows // FILES
    for number in range(FILES):
        ids = np.arange(number * each, (number + 1) * each)
        some = pa.array(ids % 3 == 0)
        tags = pa.array(["new", "web"] * each, pa.string())
        orders = pa.StructArray.from_arrays(
            [
                pa.array(ids),
                pa.array(ids % 100_000).cast(pa.string()),
                pa.array(ids / 7),
                pa.array(1_700_000_000_000_000 + ids * 1000).cast(pa.timestamp("us", "UTC")),
                pa.array(ids % 2 == 0),
                pa.compute.if_else(some, "left at the door", None),
                pa.array(["NEW", "CHANGED", "GONE"]).take(pa.array(ids % 3)),
                pa.ListArray.from_arrays(pa.array(np.arange(each + 1, dtype=np.int32) * 2), tags),
            ],
            ["id", "customer", "amount", "at", "paid", "note", "kind", "tags"],
        )
        messages = AvroEncoder(orders.type, SCHEMA, nullable=False).encode(orders)
        framed = pa.compute.binary_join_element_wise(pa.scalar(HEADER), messages, b"")
        pq.write_table(pa.table({"value": framed}), folder / f"{number}.parquet")


def _measure(name: str, folder: Path, rows: int) -> dict[str, float]:
    """Messages a second of each job."""
    with SERVERS[name](folder / name) as server:
        spark = SparkSession.builder.remote(server.url).create()
        stream = spark.readStream.schema("value BINARY").parquet(str(folder / "messages"))
        decoded = stream.select(from_avro(F.expr("substring(value, 6)"), SCHEMA).alias("o")).select("o.*")
        written = decoded.select(to_avro(F.struct("*"), SCHEMA).alias("value"))
        jobs = {"from_avro": decoded, "from_avro, then to_avro": written}
        found = {}
        for job, frame in jobs.items():
            seconds = [_run(frame, folder / name / f"{job}-{number}") for number in range(ROUNDS + 1)]
            found[job] = rows / statistics.median(seconds[1:])
            print(f"{name}: {job}: {found[job] / 1e6:.2f} M messages/s", flush=True)
        spark.stop()
    return found


def _run(frame: DataFrame, checkpoint: Path) -> float:
    began = time.perf_counter()
    query = frame.writeStream.format("noop").option("checkpointLocation", str(checkpoint)).trigger(availableNow=True)
    if not query.start().awaitTermination(LIMIT_S):
        raise TimeoutError(f"not done after {LIMIT_S} s")
    return time.perf_counter() - began


def _table(ours: dict[str, float], theirs: dict[str, float]) -> str:
    lines = ["| job | riacho | Apache Spark | ratio |", "|---|---:|---:|---:|"]
    for job, rate in ours.items():
        shown = [f"{page.number(each / 1e3)} k messages/s" for each in (rate, theirs[job])]
        lines.append(f"| {job} | {shown[0]} | {shown[1]} | {rate / theirs[job]:.1f}× |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
