"""Materialized views over a long table, refreshed after 10,000 new rows: from the changes, and computed anew.

    python -m bench.views [ROWS]

ROWS sales (10 million by default) of 10,000 items, written a million at a time; each view is a pipeline of its own, so
that what a run costs besides is in both columns. Each figure is the median of some refreshes, after those that
compute the view for the first time and begin to keep its groups.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

from pyspark.pipelines.add_pipeline_analysis_context import add_pipeline_analysis_context
from pyspark.pipelines.graph_element_registry import graph_element_registration_context
from pyspark.pipelines.spark_connect_graph_element_registry import SparkConnectGraphElementRegistry
from pyspark.pipelines.spark_connect_pipeline import create_dataflow_graph, start_run
from pyspark.sql import SparkSession

from bench import page
from riacho.testing.servers import riacho_server

ROWS = 10_000_000
NEW = 10_000
PIECE = 1_000_000
REFRESHES = 7
SWITCH = "riacho.pipelines.incrementalViews.enabled"
VIEWS = {
    "filter and projection": "SELECT id, amount * price AS paid, at FROM sales WHERE amount > 1",
    "join with a small table": "SELECT s.id, i.name, s.amount FROM sales s JOIN items i ON s.item = i.item",
    "10,000 groups": "SELECT item, count(*) AS n, avg(amount) AS mean, max(at) AS last FROM sales GROUP BY item",
    "200 groups": "SELECT date(at) AS day, sum(amount * price) AS paid FROM sales GROUP BY date(at)",
    "nothing new": "SELECT place, count(*) AS n FROM places GROUP BY place",
}


def add(spark: SparkSession, first: int, count: int) -> None:
    spark.sql(
        "INSERT INTO sales SELECT id, CAST(id % 10000 AS INT), CAST(id % 7 AS INT), CAST(id % 100 AS DECIMAL(9, 2)), "
        f"timestamp_seconds(1704067200 + id) FROM range({first}, {first + count})"
    )


def refresh(spark: SparkSession, number: int, query: str, storage: Path, *, incremental: bool) -> float:
    """Milliseconds of one run of a pipeline with the view `v<number>` alone."""
    began = time.perf_counter()
    graph = create_dataflow_graph(spark, None, "default", {SWITCH: str(incremental).lower()})
    registry = SparkConnectGraphElementRegistry(spark, graph)
    with graph_element_registration_context(registry), add_pipeline_analysis_context(spark, graph, None):
        registry.register_sql(f"CREATE MATERIALIZED VIEW v{number} AS {query}", Path("views.sql"))
    events = start_run(
        spark,
        graph,
        full_refresh=[],
        full_refresh_all=False,
        refresh=[],
        dry=False,
        storage=(storage / str(number)).as_uri(),
    )
    for _ in events:
        pass
    return (time.perf_counter() - began) * 1000


def main(count: int) -> None:
    lines = ["| view | from the changes, ms | computed anew, ms |", "|---|---|---|"]
    with tempfile.TemporaryDirectory(prefix="riacho-bench-") as name, riacho_server(Path(name) / "riacho") as server:
        spark = SparkSession.builder.remote(server.url).create()
        spark.sql("CREATE TABLE sales (id BIGINT, item INT, amount INT, price DECIMAL(9, 2), at TIMESTAMP) USING delta")
        spark.sql("CREATE TABLE items AS SELECT CAST(id AS INT) AS item, concat('item ', id) AS name FROM range(10000)")
        spark.sql("CREATE TABLE places AS SELECT concat('place ', id % 9) AS place FROM range(1000000)")
        for first in range(0, count, PIECE):
            add(spark, first, min(PIECE, count - first))
        for number, (view, query) in enumerate(VIEWS.items()):
            medians = []
            for incremental in (True, False):
                times = []
                for _ in range(REFRESHES + 2):
                    times.append(refresh(spark, number, query, Path(name) / "storage", incremental=incremental))
                    add(spark, count, NEW)
                    count += NEW
                medians.append(statistics.median(times[2:]))
            lines.append(f"| {view} | {page.number(medians[0])} | {page.number(medians[1])} |")
            print(lines[-1], flush=True)
        spark.stop()
    page.write("views", "\n".join(lines), f"{NEW:,} new rows over {count // 1_000_000} million, medians of {REFRESHES}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS)
