"""Stateful queries on riacho and on Apache Spark, one after the other on the same cores: `python -m bench.stateful`.

Four jobs over 2 million events in 40 batches, and the time of a batch that touches 5,000 keys by the size of the state.
`--files 4 --keys 10000` is a smaller run, `--only riacho` leaves Spark out. Spark keeps its state in RocksDB.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from bench.events import SCHEMA, write_files
from bench.jobs import LIMIT_S
from bench.run import CORES, FILES, ROWS, SERVERS

TOUCHED = 5_000
TOUCHES = 12
"""Batches that touch `TOUCHED` keys each; the first two warm up."""
KEYS = (10_000, 100_000, 1_000_000, 10_000_000)
ROCKSDB = "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider"


def counts(events: DataFrame) -> DataFrame:
    return events.groupBy(F.window("ts", "1 minute"), "country").agg(F.count("*").alias("n"), F.avg("value").alias("m"))


def sliding(events: DataFrame) -> DataFrame:
    return events.groupBy(F.window("ts", "10 minutes", "2 minutes"), "kind").agg(F.sum("value").alias("s"))


def deduplicated(events: DataFrame) -> DataFrame:
    return events.dropDuplicates(["id", "ts"])


def joined(events: DataFrame) -> DataFrame:
    """Purchases with the clicks of the same user in the minute before."""
    clicks = events.where("kind = 'click'").select("user", F.col("ts").alias("clicked"))
    buys = events.where("kind = 'buy'").select(F.col("user").alias("buyer"), F.col("ts").alias("bought"))
    return clicks.join(buys, F.expr("user = buyer AND bought BETWEEN clicked AND clicked + INTERVAL 1 MINUTE"))


JOBS: dict[str, Callable[[DataFrame], DataFrame]] = {
    "1-minute counts": counts,
    "sliding windows": sliding,
    "deduplication": deduplicated,
    "join of two streams": joined,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=FILES, help=f"files of {ROWS} events each")
    parser.add_argument("--keys", type=int, nargs="*", default=KEYS, help="sizes of state")
    parser.add_argument("--only", choices=sorted(SERVERS), help="one server alone")
    arguments = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    results: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(prefix="riacho-bench-") as folder:
        landing = Path(folder, "landing")
        write_files(landing, files=arguments.files, rows=ROWS)
        for keys in arguments.keys:
            _write_keys(Path(folder, f"keys-{keys}"), keys)
        for name in [arguments.only] if arguments.only else list(SERVERS):
            results[name] = _measure(name, Path(folder), arguments.keys)
    print(_table(results))


def _measure(name: str, folder: Path, sizes: list[int]) -> dict[str, float]:
    """Milliseconds of the median batch, by job and by size of state."""
    found: dict[str, float] = {}
    with SERVERS[name](folder / name) as server:
        spark = SparkSession.builder.remote(server.url).create()
        spark.conf.set("spark.sql.shuffle.partitions", str(CORES))
        if name == "spark":
            spark.conf.set("spark.sql.streaming.stateStore.providerClass", ROCKSDB)
        for job, make in JOBS.items():
            events = spark.readStream.schema(SCHEMA).option("maxFilesPerTrigger", 1).json(str(folder / "landing"))
            found[job] = _median_ms(make(events.withWatermark("ts", "1 minute")), "append", folder / name / job, skip=1)
            print(f"{name}: {job} {found[job]:.0f} ms a batch", flush=True)
        for keys in sizes:
            path = str(folder / f"keys-{keys}")
            touched = spark.readStream.schema("k BIGINT, v INT").option("maxFilesPerTrigger", 1).parquet(path)
            totals = touched.groupBy("k").agg(F.count("*").alias("n"), F.sum("v").alias("s"))
            job = f"{TOUCHED:,} keys of {keys:,}"
            found[job] = _median_ms(totals, "update", folder / name / str(keys), skip=3)
            print(f"{name}: {job} {found[job]:.0f} ms a batch", flush=True)
        spark.stop()
    return found


def _median_ms(frame: DataFrame, mode: str, checkpoint: Path, *, skip: int) -> float:
    """The median batch with rows, in ms; the first `skip` ones, which load the state or warm up, left out."""
    writer = frame.writeStream.format("noop").outputMode(mode).option("checkpointLocation", str(checkpoint))
    began = time.perf_counter()
    query = writer.trigger(availableNow=True).start()
    if not query.awaitTermination(LIMIT_S):
        raise TimeoutError(f"not done after {time.perf_counter() - began:.0f} s")
    batches = [report["batchDuration"] for report in query.recentProgress if _has_rows(report)]
    return float(statistics.median(batches[skip:] or batches))


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


def _table(results: dict[str, dict[str, float]]) -> str:
    names = list(results)
    lines = [f"| median batch | {' | '.join(names)} | ratio |", "|---|" + "---:|" * (len(names) + 1)]
    for job in results[names[0]]:
        times = [results[name][job] for name in names]
        ratio = f"{times[-1] / times[0]:.1f}×" if len(times) > 1 else ""
        lines.append(f"| {job} | {' | '.join(f'{ms:,.0f} ms' for ms in times)} | {ratio} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
