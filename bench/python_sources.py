"""Python data sources on riacho and on Apache Spark: rows and Arrow batches, read and written, in batches and streams.

`python -m bench.python_sources` starts both servers, one after the other; `--only riacho` leaves Spark out, and
`--remote URL` runs the jobs on a server that is there. It prints a line for each job.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyspark import cloudpickle
from pyspark.sql import SparkSession
from pyspark.sql.datasource import (
    DataSource,
    DataSourceArrowWriter,
    DataSourceReader,
    DataSourceStreamReader,
    DataSourceWriter,
    InputPartition,
    WriterCommitMessage,
)
from pyspark.sql.streaming.datasource import SupportsTriggerAvailableNow
from pyspark.sql.streaming.query import StreamingQuery

from bench.jobs import LIMIT_S
from bench.run import SERVERS

ROWS = 1_000_000
PARTITIONS = 4
BATCHES = 20


def rows_of(partition: InputPartition, kind: str) -> Iterator[Any]:
    """The rows from one number to another: a number, a text and a float."""
    start, end = partition.value
    if kind == "tuples":
        for number in range(start, end):
            yield number, f"key-{number % 100}", number / 7
        return
    keys = pa.array([f"key-{number % 100}" for number in range(10_000)])
    for first in range(start, end, 10_000):
        last = min(first + 10_000, end)
        numbers = pa.array(range(first, last), pa.int64())
        yield pa.record_batch([numbers, keys[: last - first], numbers.cast("double")], names=["id", "key", "value"])


def cut(start: int, end: int) -> list[InputPartition]:
    bounds = [start + (end - start) * part // PARTITIONS for part in range(PARTITIONS + 1)]
    return [InputPartition(pair) for pair in zip(bounds, bounds[1:], strict=False)]  # noqa: RUF007 - Python 3.9 too


class Reader(DataSourceReader):
    def __init__(self, kind: str, rows: int) -> None:
        self.kind, self.rows = kind, rows

    def partitions(self) -> list[InputPartition]:
        return cut(0, self.rows)

    def read(self, partition: InputPartition) -> Iterator[Any]:
        return rows_of(partition, self.kind)


class StreamReader(DataSourceStreamReader, SupportsTriggerAvailableNow):
    def __init__(self, kind: str, rows: int) -> None:
        self.kind, self.rows = kind, rows

    def initialOffset(self) -> dict[str, int]:  # noqa: N802 - Spark's names
        return {"at": 0}

    def prepareForTriggerAvailableNow(self) -> None:  # noqa: N802
        pass

    def latestOffset(self, start: dict[str, int], limit: Any) -> dict[str, int]:  # noqa: ARG002, N802
        return {"at": min(start["at"] + self.rows // BATCHES, self.rows)}

    def partitions(self, start: dict[str, int], end: dict[str, int]) -> list[InputPartition]:
        return cut(start["at"], end["at"])

    def read(self, partition: InputPartition) -> Iterator[Any]:
        return rows_of(partition, self.kind)


class Writer(DataSourceWriter):
    def write(self, iterator: Iterator[Any]) -> WriterCommitMessage:
        for _ in iterator:
            pass
        return WriterCommitMessage()


class ArrowWriter(Writer, DataSourceArrowWriter):
    pass


class Source(DataSource):
    @classmethod
    def name(cls) -> str:
        return "bench"

    def schema(self) -> str:
        return "id bigint, key string, value double"

    def reader(self, schema: Any) -> DataSourceReader:  # noqa: ARG002 - here and below, it is named
        return Reader(self.options["kind"], int(self.options["rows"]))

    def streamReader(self, schema: Any) -> DataSourceStreamReader:  # noqa: ARG002, N802
        return StreamReader(self.options["kind"], int(self.options["rows"]))

    def writer(self, schema: Any, overwrite: bool) -> DataSourceWriter:  # noqa: ARG002
        return Writer() if self.options["kind"] == "tuples" else ArrowWriter()


def read(spark: SparkSession, kind: str, rows: int) -> float:
    frame = spark.read.format("bench").option("kind", kind).option("rows", rows).load()
    return _seconds(lambda: frame.selectExpr("sum(id)", "count(DISTINCT key)").collect())


def write(spark: SparkSession, kind: str, rows: int) -> float:
    frame = spark.range(rows).selectExpr("id", "concat('key-', id % 100) AS key", "id / 7D AS value")
    return _seconds(frame.write.format("bench").option("kind", kind).mode("append").save)


def stream(spark: SparkSession, kind: str, rows: int, work: Path) -> tuple[float, float]:
    """Into Delta, in `BATCHES` batches: seconds, and the median batch in ms."""
    source = spark.readStream.format("bench").option("kind", kind).option("rows", rows).load()
    writer = source.writeStream.format("delta").option("checkpointLocation", str(work / "checkpoint"))

    def run() -> StreamingQuery:
        query = writer.trigger(availableNow=True).start(str(work / "table"))
        if not query.awaitTermination(LIMIT_S):
            raise TimeoutError(f"not done after {LIMIT_S} s")
        return query

    start = time.perf_counter()
    done = run()
    seconds = time.perf_counter() - start
    batches = [entry["batchDuration"] for entry in done.recentProgress if "addBatch" in entry["durationMs"]]
    return seconds, statistics.median(batches[1:] or batches)


def _seconds(job: Callable[[], object]) -> float:
    job()  # warms up
    start = time.perf_counter()
    job()
    return time.perf_counter() - start


def measure(name: str, url: str, work: Path, rows: int) -> None:
    spark = SparkSession.builder.remote(url).create()
    spark.dataSource.register(Source)
    for kind in ("tuples", "arrow"):
        _tell(name, f"read {kind}", rows / read(spark, kind, rows))
        _tell(name, f"write {kind}", rows / write(spark, kind, rows))
        stream(spark, kind, rows // 10, work / f"{name}-{kind}-warm")
        seconds, batch_ms = stream(spark, kind, rows, work / f"{name}-{kind}")
        _tell(name, f"stream {kind}", rows / seconds, f", median batch {batch_ms:.0f} ms")
    spark.stop()


def _tell(name: str, job: str, per_second: float, more: str = "") -> None:
    print(f"{name:7} {job:14} {per_second / 1000:8.0f} k rows/s{more}", flush=True)


def main() -> None:
    cloudpickle.register_pickle_by_value(sys.modules[Source.__module__])  # type: ignore[no-untyped-call]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--only", choices=SERVERS)
    parser.add_argument("--remote", metavar="URL")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="riacho-bench-") as folder:
        work = Path(folder)
        work.chmod(0o755)
        if given.remote:
            measure("remote", given.remote, work, given.rows)
            return
        for name, start in SERVERS.items():
            if given.only in {None, name}:
                with start(work / name) as server:
                    measure(name, server.url, work, given.rows)


if __name__ == "__main__":
    main()
