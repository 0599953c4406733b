"""The jobs that are timed: ordinary PySpark, the same code on both servers."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from bench.events import SCHEMA

LIMIT_S = 600


@dataclass(frozen=True)
class Timing:
    """One query's run: rows, seconds from start to end, the median batch in ms (the first left out: it warms up)."""

    rows: int
    seconds: float
    batches: int
    batch_ms: float

    @property
    def rows_per_second(self) -> float:
        return self.rows / self.seconds


def events(spark: SparkSession, folder: Path, files_per_batch: int | None) -> DataFrame:
    """The stream of events, with the usual light work."""
    reader = spark.readStream.schema(SCHEMA)
    if files_per_batch is not None:
        reader = reader.option("maxFilesPerTrigger", files_per_batch)
    return prepared(reader.json(str(folder)))


def prepared(rows: DataFrame) -> DataFrame:
    """A filter, a nested field, two computed columns."""
    return (
        rows.where("value >= 1")
        .withColumn("country", F.col("user.country"))
        .withColumn("cents", (F.col("value") * 100).cast("bigint"))
        .withColumn("day", F.to_date("ts"))
    )


def ingest(spark: SparkSession, folder: Path, work: Path, files_per_batch: int | None, rows: int) -> Timing:
    """All files, of `rows` events together, to a Delta table."""
    query = (
        events(spark, folder, files_per_batch)
        .writeStream.format("delta")
        .option("checkpointLocation", str(work / "checkpoint"))
        .trigger(availableNow=True)
    )
    start = time.perf_counter()
    running = query.start(str(work / "table"))
    if not running.awaitTermination(LIMIT_S):
        raise TimeoutError(f"not done after {LIMIT_S} s")
    seconds = time.perf_counter() - start
    # Spark counts no input rows for a Delta sink; a batch that ran is one that spent time in its sink.
    batches = [entry["batchDuration"] for entry in running.recentProgress if "addBatch" in entry["durationMs"]]
    return Timing(rows, seconds, len(batches), statistics.median(batches[1:] or batches))
