"""Events a second into a table: AUTO CDC of both SCD types on riacho, and MERGE beside it.

    python -m bench.auto_cdc [--files 20] [--rows 50000] [--keys 200000]

Parquet files of events are read one a batch: one event in twenty deletes, one in ten is late, one in fifty comes twice.
Spark 4.2 has AUTO CDC of type 1 only, and not for Delta tables, so the usual way stands for it: a window that finds the
newest event of each key, and MERGE INTO, for one file after another. That does less: there is no stream with its
checkpoint, and a late event after a delete brings the row back. It runs on both servers; `SPARK_REMOTE` names a Spark
that is there already, `--only riacho` leaves it out.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.pipelines.graph_element_registry import graph_element_registration_context
from pyspark.pipelines.spark_connect_graph_element_registry import SparkConnectGraphElementRegistry
from pyspark.pipelines.spark_connect_pipeline import create_dataflow_graph, start_run
from pyspark.sql import DataFrame, SparkSession

from bench.run import SERVERS
from riacho import pipelines as dp

SCHEMA = "id BIGINT, name STRING, city STRING, amount DOUBLE, seq BIGINT, deleted BOOLEAN"
DATABASE = "bench_auto_cdc"
FLOWS: dict[str, dict[str, Any]] = {
    "SCD 1": {},
    "SCD 1, nulls ignored": {"ignore_null_updates": True},
    "SCD 2": {"stored_as_scd_type": 2},
    "SCD 2, one column tracked": {"stored_as_scd_type": 2, "track_history_column_list": ["city"]},
}


def write_events(folder: Path, files: int, rows: int, keys: int) -> None:
    """The events, in the order in which they come but for the late ones."""
    draw = np.random.default_rng(5)
    folder.mkdir()
    for number in range(files):
        at = np.arange(number * rows, (number + 1) * rows)
        late = draw.random(rows) < 0.1
        at = np.where(late, draw.integers(0, (number + 1) * rows, rows), at)
        table = pa.table(
            {
                "id": draw.integers(0, keys, rows),
                "name": pa.array(draw.integers(0, 5000, rows)).cast(pa.string()),
                "city": pa.array(draw.integers(0, 50, rows)).cast(pa.string()),
                "amount": draw.random(rows),
                "seq": at,
                "deleted": draw.random(rows) < 0.05,
            }
        )
        again = table.take(pa.array(draw.integers(0, rows, rows // 50)))
        pq.write_table(pa.concat_tables([table, again]), folder / f"{number:05d}.parquet")


def feed(spark: SparkSession, events: Path) -> DataFrame:
    return spark.readStream.schema(SCHEMA).option("maxFilesPerTrigger", 1).parquet(str(events))


def auto_cdc(spark: SparkSession, events: Path, storage: Path, table: str, flow: dict[str, Any]) -> float:
    """Seconds of a pipeline with one AUTO CDC flow."""
    graph = create_dataflow_graph(spark, None, DATABASE, {})
    with graph_element_registration_context(SparkConnectGraphElementRegistry(spark, graph)):

        @dp.temporary_view(name=f"feed_{table}")
        def source() -> DataFrame:
            return feed(spark, events)

        dp.create_streaming_table(table)
        dp.create_auto_cdc_flow(
            target=table, source=f"feed_{table}", keys=["id"], sequence_by="seq", apply_as_deletes="deleted",
            except_column_list=["deleted"], **flow,
        )  # fmt: skip
    began = time.perf_counter()
    list(start_run(spark, graph, [], False, [], False, storage.as_uri()))
    return time.perf_counter() - began


def merge(spark: SparkSession, events: Path, table: str) -> float:
    """Seconds of merging one file after another."""
    spark.sql(
        f"CREATE TABLE {DATABASE}.{table} (id BIGINT, name STRING, city STRING, amount DOUBLE, seq BIGINT) USING delta"
    )
    statement = f"""
        MERGE INTO {DATABASE}.{table} t USING newest s ON t.id = s.id
        WHEN MATCHED AND s.seq >= t.seq AND s.deleted THEN DELETE
        WHEN MATCHED AND s.seq >= t.seq THEN UPDATE SET name = s.name, city = s.city, amount = s.amount, seq = s.seq
        WHEN NOT MATCHED AND NOT s.deleted THEN INSERT (id, name, city, amount, seq)
          VALUES (s.id, s.name, s.city, s.amount, s.seq)"""

    newest = "row_number() OVER (PARTITION BY id ORDER BY seq DESC) AS place"
    began = time.perf_counter()
    for file in sorted(events.iterdir()):
        batch = spark.read.schema(SCHEMA).parquet(str(file))
        batch.selectExpr("*", newest).where("place = 1").createOrReplaceTempView("newest")
        spark.sql(statement)
    return time.perf_counter() - began


@contextmanager
def session(name: str, work: Path) -> Iterator[SparkSession]:
    remote = os.environ.get("SPARK_REMOTE") if name == "spark" else None
    with ExitStack() as stack:
        url = remote or stack.enter_context(SERVERS[name](work / name)).url
        spark = SparkSession.builder.remote(url).create()
        yield spark
        spark.stop()


def measure(name: str, spark: SparkSession, work: Path, rows: int) -> None:
    spark.sql(f"DROP DATABASE IF EXISTS {DATABASE} CASCADE")
    spark.sql(f"CREATE DATABASE {DATABASE}")
    storage = work / f"storage-{name}"
    storage.mkdir(mode=0o777)
    jobs: dict[str, Callable[[str], float]] = {
        "MERGE, file by file": lambda table: merge(spark, work / "events", table)
    }
    if name == "riacho":
        for job, flow in FLOWS.items():
            jobs[job] = partial(auto_cdc, spark, work / "events", storage, flow=flow)
    for number, (job, run) in enumerate(jobs.items()):
        run_s = run(f"t{number}")
        count = spark.table(f"{DATABASE}.t{number}").count()
        print(f"{name:7} {job:28} {rows / run_s / 1000:8.1f} k events/s   {count:9,} rows", flush=True)
    spark.sql(f"DROP DATABASE {DATABASE} CASCADE")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=20)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--keys", type=int, default=200_000)
    parser.add_argument("--only", choices=SERVERS)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="riacho-bench-") as folder:
        work = Path(folder)
        work.chmod(0o755)
        write_events(work / "events", given.files, given.rows, given.keys)
        for name in SERVERS:
            if given.only in {None, name}:
                with session(name, work) as spark:
                    measure(name, spark, work, given.files * given.rows)


if __name__ == "__main__":
    main()
