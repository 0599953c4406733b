"""The same jobs on riacho and on Apache Spark, one after the other on the same cores; the table in bench/README.md.

The bare engine, which reads the files into Parquet, is timed in between: what riacho could reach at most.

`make bench` runs everything and writes bench/README.md anew. `python -m bench.run --files 8` is a smaller run that
prints its table only; `--only riacho` leaves Spark out.
"""

from __future__ import annotations

import argparse
import compileall
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from pyspark.sql import SparkSession

from bench import engine, page
from bench.events import write_files
from bench.jobs import Timing, ingest
from riacho.testing.servers import Server, riacho_server, spark_server

HERE = Path(__file__).parent
ROWS = 50_000
FILES = 40
CORES = 2
ROUNDS = 3
Start = Callable[[Path], AbstractContextManager[Server]]


def _spark(work: Path) -> AbstractContextManager[Server]:
    return spark_server(HERE.parent / ".oracle", work, cores=CORES)


SERVERS: dict[str, Start] = {"riacho": riacho_server, "spark": _spark}


@dataclass
class Result:
    """All timings of one server, over the rounds."""

    all_at_once: list[Timing] = field(default_factory=list)
    one_by_one: list[Timing] = field(default_factory=list)
    first_row_s: list[float] = field(default_factory=list)

    def first_row(self) -> float:
        return statistics.median(self.first_row_s)

    def batch_ms(self) -> float:
        return statistics.median([timing.batch_ms for timing in self.one_by_one])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=FILES, help=f"files of {ROWS} events each")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how often each server starts anew")
    parser.add_argument("--only", choices=sorted(SERVERS), help="one server alone")
    arguments = parser.parse_args()
    # As an installed package is; a checkout is not where PYTHONDONTWRITEBYTECODE is set.
    compileall.compile_dir(HERE.parent / "src", quiet=1)
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    with tempfile.TemporaryDirectory(prefix="riacho-bench-") as folder:
        landing, single = Path(folder, "landing"), Path(folder, "single")
        size = write_files(landing, files=arguments.files, rows=ROWS)
        write_files(single, files=1, rows=ROWS)
        print(f"{arguments.files} files of {ROWS:,} events, {size / 1e6:.0f} MB, {CORES} cores", flush=True)
        results, bare = {}, 0.0
        for name in [arguments.only] if arguments.only else list(SERVERS):
            results[name] = _measure(name, landing, single, Path(folder, name), arguments.rounds)
            if name == "riacho":
                bare = _measure_engine(landing, Path(folder, "engine"), arguments.rounds)
    if len(results) == len(SERVERS):
        table = _table(results["riacho"], results["spark"], bare)
        print(table)
        if arguments.files == FILES and arguments.rounds == ROUNDS:
            page.write("ingest", table, f"{CORES} cores, {ROUNDS} rounds on each, medians")


def _measure(name: str, landing: Path, single: Path, work: Path, rounds: int) -> Result:
    result = Result()
    rows = len(list(landing.glob("*.json"))) * ROWS
    for number in range(1, rounds + 1):
        folder = work / str(number)
        began = time.perf_counter()
        with SERVERS[name](folder / "server") as server:
            # The client is a process of its own, as a user's script is.
            command = [sys.executable, "-m", "bench.first_row", server.url, str(single), str(folder / "first")]
            subprocess.run(command, check=True, cwd=HERE.parent)
            result.first_row_s.append(time.perf_counter() - began)
            spark = SparkSession.builder.remote(server.url).create()
            result.one_by_one.append(ingest(spark, landing, folder / "one", 1, rows))
            result.all_at_once.append(ingest(spark, landing, folder / "all", None, rows))
            spark.stop()
        shutil.rmtree(folder)
        one, every = result.one_by_one[-1], result.all_at_once[-1]
        print(
            f"{name} {number}/{rounds}: first row {result.first_row_s[-1]:.2f} s, one file a batch "
            f"{one.rows_per_second / 1e3:,.0f} k rows/s ({one.batch_ms:.0f} ms a batch), all at once "
            f"{every.rows_per_second / 1e3:,.0f} k rows/s",
            flush=True,
        )
    return result


def _measure_engine(landing: Path, work: Path, rounds: int) -> float:
    """Thousands of rows a second."""
    rates = engine.rates(landing, work, len(list(landing.glob("*.json"))) * ROWS, rounds)
    rate = statistics.median(rates) / 1e3
    print(f"bare engine, JSON to Parquet: {rate:,.0f} k rows/s", flush=True)
    return rate


def _table(riacho: Result, spark: Result, bare: float) -> str:
    lines = ["| job | riacho | Apache Spark | ratio |", "|---|---:|---:|---:|"]
    for job, ours, theirs in (
        ("first row committed, from process start", riacho.first_row(), spark.first_row()),
        ("one file a batch: median batch", riacho.batch_ms(), spark.batch_ms()),
    ):
        unit = "ms" if "batch" in job else "s"
        lines.append(f"| {job} | {page.number(ours)} {unit} | {page.number(theirs)} {unit} | {theirs / ours:.1f}× |")
    for job, ours, theirs in (
        ("one file a batch: throughput", _rate(riacho.one_by_one), _rate(spark.one_by_one)),
        ("all files at once: throughput", _rate(riacho.all_at_once), _rate(spark.all_at_once)),
    ):
        lines.append(f"| {job} | {ours:,.0f} k rows/s | {theirs:,.0f} k rows/s | {ours / theirs:.1f}× |")
    share = _rate(riacho.all_at_once) / bare
    lines += ["", f"The bare engine, from JSON to Parquet: {bare:,.0f} k rows/s; riacho reaches {share:.0%} of that."]
    return "\n".join(lines)


def _rate(timings: list[Timing]) -> float:
    """Thousands of rows a second."""
    return statistics.median([timing.rows_per_second for timing in timings]) / 1e3


if __name__ == "__main__":
    main()
