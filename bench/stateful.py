"""Stateful queries on riacho and on Apache Spark, one after the other on the same cores; the table in bench/README.md.

Four jobs over 2 million events in 40 batches, and the time of a batch that touches 5,000 keys by the size of the state.
`python -m bench.stateful` runs everything and writes the table anew. `--files 4 --keys 10000` is a smaller run that
prints its table only; `--only riacho` leaves Spark out. Spark keeps its state in RocksDB.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from bench import page
from bench.events import SCHEMA, write_files
from bench.run import CORES, FILES, ROWS, SERVERS

LIMIT_S = 1_800
"""Spark needs minutes to take in ten million keys."""
TOUCHED = 5_000
TOUCHES = 12
"""Batches that touch `TOUCHED` keys each; the first two warm up."""
KEYS = (10_000, 100_000, 1_000_000, 10_000_000)
ROCKSDB = "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider"


def counts(events: DataFrame) -> DataFrame:
    by = events.groupBy(F.window("ts", "1 minute"), F.col("user.country"))
    return by.agg(F.count("*").alias("n"), F.avg("value").alias("m"))


def sliding(events: DataFrame) -> DataFrame:
    return events.groupBy(F.window("ts", "10 minutes", "2 minutes"), "kind").agg(F.sum("value").alias("s"))


def deduplicated(events: DataFrame) -> DataFrame:
    return events.dropDuplicates(["id", "ts"])


def joined(events: DataFrame) -> DataFrame:
    """Purchases with the clicks of the same session in the minute before."""
    clicks = events.where("kind = 'click'").select("session", F.col("ts").alias("clicked"))
    buys = events.where("kind = 'buy'").select(F.col("session").alias("buyer"), F.col("ts").alias("bought"))
    return clicks.join(buys, F.expr("session = buyer AND bought BETWEEN clicked AND clicked + INTERVAL 1 MINUTE"))


JOBS: dict[str, Callable[[DataFrame], DataFrame]] = {
    "1-minute counts": counts,
    "sliding windows": sliding,
    "deduplication": deduplicated,
    "join of two streams": joined,
}


@dataclass(frozen=True)
class Timing:
    """One query's run: the median batch in ms, warm, and the seconds from its start to its end."""

    batch_ms: float
    seconds: float


Results = dict[str, Timing]
"""By job, or by what is touched of how much."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=FILES, help=f"files of {ROWS} events each")
    parser.add_argument("--keys", type=int, nargs="*", default=KEYS, help="sizes of state")
    parser.add_argument("--only", choices=sorted(SERVERS), help="one server alone")
    arguments = parser.parse_args()
    sizes = tuple(arguments.keys)
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    with tempfile.TemporaryDirectory(prefix="riacho-bench-") as folder:
        landing = Path(folder, "landing")
        write_files(landing, files=arguments.files, rows=ROWS)
        for keys in sizes:
            _write_keys(Path(folder, f"keys-{keys}"), keys)
        names = [arguments.only] if arguments.only else list(SERVERS)
        results = {name: _measure(name, Path(folder), sizes) for name in names}
    if len(results) == len(SERVERS):
        table = _table(results["riacho"], results["spark"], arguments.files * ROWS)
        print(table)
        if (arguments.files, sizes) == (FILES, KEYS):
            page.write("stateful", table, f"{CORES} cores, Spark with RocksDB")


def _measure(name: str, folder: Path, sizes: tuple[int, ...]) -> Results:
    found: Results = {}
    with SERVERS[name](folder / name) as server:
        spark = SparkSession.builder.remote(server.url).create()
        spark.conf.set("spark.sql.shuffle.partitions", str(CORES))
        if name == "spark":
            spark.conf.set("spark.sql.streaming.stateStore.providerClass", ROCKSDB)
        for job, make in JOBS.items():
            events = spark.readStream.schema(SCHEMA).option("maxFilesPerTrigger", 1).json(str(folder / "landing"))
            found[job] = _run(make(events.withWatermark("ts", "1 minute")), "append", folder / name / job, skip=1)
            _tell(name, job, found[job])
        for keys in sizes:
            path = str(folder / f"keys-{keys}")
            touched = spark.readStream.schema("k BIGINT, v INT").option("maxFilesPerTrigger", 1).parquet(path)
            totals = touched.groupBy("k").agg(F.count("*").alias("n"), F.sum("v").alias("s"))
            job = _touched(keys)
            found[job] = _run(totals, "update", folder / name / str(keys), skip=3)
            _tell(name, job, found[job])
        spark.stop()
    return found


def _touched(keys: int) -> str:
    return f"{TOUCHED:,} keys of {keys:,}"


def _tell(name: str, job: str, timing: Timing) -> None:
    print(f"{name}: {job}: {timing.batch_ms:.0f} ms a batch, {timing.seconds:.1f} s in all", flush=True)


def _run(frame: DataFrame, mode: str, checkpoint: Path, *, skip: int) -> Timing:
    """Time a query over all its files. The first `skip` batches, which load the state or warm up, are not typical."""
    writer = frame.writeStream.format("noop").outputMode(mode).option("checkpointLocation", str(checkpoint))
    began = time.perf_counter()
    query = writer.trigger(availableNow=True).start()
    if not query.awaitTermination(LIMIT_S):
        raise TimeoutError(f"not done after {LIMIT_S} s")
    seconds = time.perf_counter() - began
    batches = [report["batchDuration"] for report in query.recentProgress if _has_rows(report)]
    return Timing(float(statistics.median(batches[skip:] or batches)), seconds)


def _has_rows(report: Any) -> bool:
    """Whether a batch read something; Spark does not count its rows over Spark Connect."""
    return any(source["startOffset"] != source["endOffset"] for source in report["sources"])


def _write_keys(folder: Path, keys: int) -> None:
    """One file with every key, then files that touch some of them."""
    folder.mkdir()
    chance = np.random.default_rng(keys)
    _write(folder / "0000.parquet", np.arange(keys))
    for number in range(1, TOUCHES + 1):
        _write(folder / f"{number:04d}.parquet", chance.choice(keys, TOUCHED, replace=False))


def _write(path: Path, keys: np.ndarray[tuple[int], np.dtype[np.int64]]) -> None:
    table = pa.table({"k": pa.array(keys, pa.int64()), "v": pa.array(np.ones(len(keys)), pa.int32())})
    pq.write_table(table, path)
    stamp = 1_700_000_000 + int(path.stem)
    os.utime(path, (stamp, stamp))


def _table(ours: Results, theirs: Results, rows: int) -> str:
    lines = ["| job | riacho | Apache Spark | ratio |", "|---|---:|---:|---:|"]
    for job in JOBS:
        rates = [rows / results[job].seconds / 1e3 for results in (ours, theirs)]
        lines.append(
            f"| {job}: throughput | {rates[0]:,.0f} k rows/s | {rates[1]:,.0f} k rows/s | {rates[0] / rates[1]:.1f}× |"
        )
    for job in ours:
        batch = [results[job].batch_ms for results in (ours, theirs)]
        lines.append(f"| {job}: median batch | {batch[0]:,.0f} ms | {batch[1]:,.0f} ms | {batch[1] / batch[0]:.1f}× |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
