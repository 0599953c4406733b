"""Lakeflow's notation around streaming tables and materialized views: an extension, which Spark refuses."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pyspark import pipelines as dp
from pyspark.sql import DataFrame, SparkSession

from tests.spec.pipelines.support import Project

HEADS = (
    "CREATE OR REFRESH {}",
    "CREATE OR REFRESH PRIVATE {}",
    "CREATE PRIVATE {}",
    "CREATE TEMPORARY {}",
    "CREATE OR REFRESH TEMPORARY {}",
)


@pytest.mark.spark_only
@pytest.mark.parametrize("head", HEADS)
def test_spark_has_none_of_it(project: Project, head: str) -> None:
    for kind in ("STREAMING TABLE", "MATERIALIZED VIEW"):
        assert "PARSE_SYNTAX_ERROR" in str(project.dry_run(f"{head.format(kind)} t AS SELECT 1 AS a").error)


@pytest.mark.riacho_only
def test_heads(project: Project, events: Callable[[], None]) -> None:
    tables = [
        f"{head.format('STREAMING TABLE')} s{number} AS SELECT * FROM STREAM events;"
        f"{head.format('MATERIALIZED VIEW')} m{number} AS SELECT count(*) AS n FROM s{number}"
        for number, head in enumerate(HEADS)
    ]
    for _ in range(2):
        assert project.run(events, *tables).completed
    assert [project.table(f"m{number}") for number in range(len(HEADS))] == [[(2,)]] * len(HEADS)


@pytest.mark.riacho_only
def test_clustering_is_accepted(project: Project, events: Callable[[], None]) -> None:
    text = """CREATE STREAMING TABLE t CLUSTER BY (id, name) COMMENT 'c' AS SELECT * FROM STREAM events;
    CREATE MATERIALIZED VIEW m CLUSTER BY AUTO AS SELECT count(*) AS n FROM t"""
    assert project.run(events, text).completed
    assert project.table("m") == [(2,)]
    both = "CREATE STREAMING TABLE t PARTITIONED BY (id) CLUSTER BY (id) AS SELECT * FROM STREAM events"
    assert "SPECIFY_CLUSTER_BY_WITH_PARTITIONED_BY_IS_NOT_ALLOWED" in str(project.run(events, both).error)


def test_clustering_in_python(spark: SparkSession, project: Project, events: Callable[[], None]) -> None:
    def clustered() -> None:
        @dp.table(cluster_by=["id"])
        def t() -> DataFrame:
            return spark.readStream.table("events")

    assert project.run(events, clustered).completed
    assert project.table("t") == [(1, "one"), (2, "two")]


@pytest.mark.parametrize("clause", ["SCHEDULE EVERY 1 HOUR", "SCHEDULE CRON '0 0 * * * ?'", "TRIGGER ON UPDATE"])
def test_schedules_are_refused(project: Project, clause: str) -> None:
    assert project.dry_run(f"CREATE MATERIALIZED VIEW m {clause} AS SELECT 1 AS a").error is not None
