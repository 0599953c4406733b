"""foreach on riacho and on Apache Spark: rows through a Python function and through a writer object, and its memory.

`python -m bench.foreach` starts both servers, one after the other; `--only riacho` leaves Spark out, and `--remote URL`
runs the jobs on a server that is there. `--files 4 --rows 50000` is the size. It prints a line for each job.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

from pyspark.sql import Row, SparkSession

from bench.events import write_files
from bench.jobs import LIMIT_S, events
from bench.run import ROWS, SERVERS


class Summing:
    """A writer object that does next to nothing with each row, and says in a file what it needed."""

    def __init__(self, out: Path) -> None:
        self.out = str(out)
        self.cents = 0

    def open(self, partition_id: int, epoch_id: int) -> bool:  # noqa: ARG002 - what is called
        return True

    def process(self, row: Row) -> None:
        self.cents += row.cents

    def close(self, error: Exception | None) -> None:  # noqa: ARG002 - as above
        # (`ru_maxrss` would be that of the process that started this one.)
        with open("/proc/self/status") as status, open(self.out, "w") as file:  # noqa: PTH123 - in another process
            file.write(next(line.split()[1] for line in status if line.startswith("VmHWM")))


def run(spark: SparkSession, landing: Path, function: Any, rows: int) -> float:
    """Rows a second, all in one batch."""
    query = events(spark, landing, None).writeStream.foreach(function).trigger(availableNow=True)
    start = time.perf_counter()
    running = query.start()
    if not running.awaitTermination(LIMIT_S):
        raise TimeoutError(f"not done after {LIMIT_S} s")
    return rows / (time.perf_counter() - start)


def measure(name: str, url: str, landing: Path, work: Path, rows: int) -> None:
    spark = SparkSession.builder.remote(url).create()
    peak = work / f"peak-{name}"
    jobs = {"function": lambda _: None, "writer object": Summing(peak)}
    for job, function in jobs.items():
        run(spark, landing, function, rows)  # warms up
        print(f"{name:7} {job:14} {run(spark, landing, function, rows) / 1000:8.0f} k rows/s", flush=True)
    print(f"{name:7} peak memory of the function's process {int(peak.read_text()) / 1024:.0f} MB", flush=True)
    spark.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=4)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--only", choices=SERVERS)
    parser.add_argument("--remote", metavar="URL")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="riacho-bench-") as folder:
        work = Path(folder)
        work.chmod(0o755)
        write_files(work / "landing", files=given.files, rows=given.rows)
        rows = given.files * given.rows
        if given.remote:
            measure("remote", given.remote, work / "landing", work, rows)
            return
        for name, start in SERVERS.items():
            if given.only in {None, name}:
                with start(work / name) as server:
                    measure(name, server.url, work / "landing", work, rows)


if __name__ == "__main__":
    main()
