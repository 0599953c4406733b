"""The same jobs on riacho and on Apache Spark, one after the other on the same cores; the table in bench/README.md.

    make bench                       everything, and bench/README.md is written anew
    python bench/run.py --files 8    a smaller run, printed only
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path

from pyspark.sql import SparkSession

from events import write_files
from jobs import Timing, ingest
from riacho.testing.servers import Server, riacho_server, spark_server

HERE = Path(__file__).parent
ORACLE = HERE.parent / ".oracle"
ROWS = 50_000
FILES = 40
CORES = 2
ROUNDS = 3
MARK = "<!-- results -->"
Start = Callable[[Path], AbstractContextManager[Server]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=FILES, help=f"files of {ROWS} events each")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how often each server starts anew")
    parser.add_argument("--only", choices=("riacho", "spark"), help="one server alone")
    arguments = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    with tempfile.TemporaryDirectory(prefix="riacho-bench-") as folder:
        landing, single = Path(folder, "landing"), Path(folder, "single")
        size = write_files(landing, files=arguments.files, rows=ROWS)
        write_files(single, files=1, rows=ROWS)
        print(f"{arguments.files} files of {ROWS:,} events, {size / 1e6:.0f} MB, {CORES} cores", flush=True)
        starts: dict[str, Start] = {"riacho": riacho_server, "spark": lambda work: spark_server(ORACLE, work, cores=CORES)}
        if arguments.only:
            starts = {arguments.only: starts[arguments.only]}
        results = {
            name: _measure(name, start, landing, single, Path(folder, name), arguments.rounds)
            for name, start in starts.items()
        }
    if len(results) == 2:
        table = _table(results["riacho"], results["spark"])
        print(table)
        if arguments.files == FILES:
            _write(table)


class Result:
    """All timings of one server, over the rounds."""

    def __init__(self) -> None:
        self.all_at_once: list[Timing] = []
        self.one_by_one: list[Timing] = []
        self.first_row_s: list[float] = []

    def rates(self, timings: list[Timing]) -> float:
        return statistics.median(timing.rows_per_second for timing in timings)

    def batch_ms(self) -> float:
        return statistics.median(timing.batch_ms for timing in self.one_by_one)


def _measure(name: str, start: Start, landing: Path, single: Path, work: Path, rounds: int) -> Result:
    result = Result()
    rows = len(list(landing.glob("*.json"))) * ROWS
    for number in range(rounds):
        folder = work / str(number)
        began = time.perf_counter()
        with start(folder / "server") as server:
            # The client is a process of its own, as a user's script is.
            code = "import sys; from pathlib import Path; from jobs import first_row; first_row(sys.argv[1], *map(Path, sys.argv[2:]))"
            script = folder / "first_row.py"
            script.write_text(code)
            command = [sys.executable, str(script), server.url, str(single), str(folder / "first")]
            subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": str(HERE)})
            result.first_row_s.append(time.perf_counter() - began)
            spark = SparkSession.builder.remote(server.url).create()
            result.one_by_one.append(ingest(spark, landing, folder / "one", 1, rows))
            result.all_at_once.append(ingest(spark, landing, folder / "all", None, rows))
            spark.stop()
        shutil.rmtree(folder)
        one, every = result.one_by_one[-1], result.all_at_once[-1]
        print(
            f"{name} {number + 1}/{rounds}: first row {result.first_row_s[-1]:.2f} s, one file a batch "
            f"{one.rows_per_second / 1e3:,.0f} k rows/s ({one.batch_ms:.0f} ms a batch), all at once "
            f"{every.rows_per_second / 1e3:,.0f} k rows/s",
            flush=True,
        )
    return result


def _table(riacho: Result, spark: Result) -> str:
    rows = [
        ("first row committed, from process start", _s(riacho.first_row_s), _s(spark.first_row_s), "s"),
        ("one file a batch: median batch", riacho.batch_ms(), spark.batch_ms(), "ms"),
        ("one file a batch: throughput", *_rates(riacho.one_by_one, spark.one_by_one), "k rows/s"),
        ("all files at once: throughput", *_rates(riacho.all_at_once, spark.all_at_once), "k rows/s"),
    ]
    lines = ["| job | riacho | Apache Spark | ratio |", "|---|---:|---:|---:|"]
    for job, ours, theirs, unit in rows:
        ratio = ours / theirs if unit == "k rows/s" else theirs / ours
        lines.append(f"| {job} | {_number(ours)} {unit} | {_number(theirs)} {unit} | {ratio:.1f}× |")
    return "\n".join(lines)


def _s(values: list[float]) -> float:
    return statistics.median(values)


def _rates(riacho: list[Timing], spark: list[Timing]) -> tuple[float, float]:
    return tuple(statistics.median(t.rows_per_second for t in timings) / 1e3 for timings in (riacho, spark))  # type: ignore[return-value]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2f}"


def _write(table: str) -> None:
    page = HERE / "README.md"
    head, _, tail = page.read_text(encoding="utf-8").partition(MARK)
    rest = tail.partition(MARK)[2]
    stamp = f"{datetime.now(tz=UTC):%Y-%m-%d}, {CORES} cores of {platform.processor() or platform.machine()}, {ROUNDS} rounds, medians."
    page.write_text(f"{head}{MARK}\n{table}\n\n{stamp}\n{MARK}{rest}", encoding="utf-8")


if __name__ == "__main__":
    main()
