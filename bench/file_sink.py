"""File sinks on riacho and on Apache Spark: a stream of JSON events into files of each format.

`python -m bench.file_sink` starts both servers, one after the other; `--only riacho` leaves Spark out, and
`--remote URL` runs the jobs on a server that is there. `--files 8 --rows 100000` is the size; one batch has all files.
It prints a line for each format.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession

from bench.events import write_files
from bench.jobs import LIMIT_S, events
from bench.run import SERVERS

FORMATS = ("parquet", "json", "csv", "orc", "avro")


def run(frame: DataFrame, form: str, folder: Path, rows: int) -> float:
    """Rows a second, all in one batch."""
    if form == "csv":  # which holds no nested values
        frame = frame.drop("user", "page", "tags", "items")
    writer = frame.writeStream.format(form).option("checkpointLocation", str(folder / "checkpoint"))
    start = time.perf_counter()
    running = writer.trigger(availableNow=True).start(str(folder / "out"))
    if not running.awaitTermination(LIMIT_S):
        raise TimeoutError(f"not done after {LIMIT_S} s")
    return rows / (time.perf_counter() - start)


def measure(name: str, url: str, landing: Path, work: Path, rows: int, formats: list[str]) -> None:
    spark = SparkSession.builder.remote(url).create()
    for form in formats:
        folders = [work / f"{name}-{form}-{number}" for number in range(3)]
        found = [run(events(spark, landing, None), form, folder, rows) for folder in folders]
        print(f"{name:7} {form:8} {max(found[1:]) / 1000:8.0f} k rows/s", flush=True)  # the first warms up
    spark.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=8)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--only", choices=SERVERS)
    parser.add_argument("--remote", metavar="URL")
    parser.add_argument("--formats", nargs="*", default=FORMATS, choices=FORMATS)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="riacho-bench-") as folder:
        work = Path(folder)
        work.chmod(0o755)
        write_files(work / "landing", files=given.files, rows=given.rows)
        rows = given.files * given.rows
        if given.remote:
            measure("remote", given.remote, work / "landing", work, rows, given.formats)
            return
        for name, start in SERVERS.items():
            if given.only in {None, name}:
                with start(work / name) as server:
                    measure(name, server.url, work / "landing", work, rows, given.formats)


if __name__ == "__main__":
    main()
