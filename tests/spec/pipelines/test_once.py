"""Flows that run once: a batch query whose rows are added to a streaming table or sink once, however often it runs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from pyspark import pipelines as dp
from pyspark.sql import DataFrame, SparkSession

from riacho import pipelines as rp
from tests.spec.pipelines.support import Project
from tests.spec.support import write_json

BACKFILL = "CREATE FLOW backfill AS INSERT INTO ONCE events BY NAME SELECT id, 'old' AS name FROM range(10, 12)"


@pytest.mark.spark_only
def test_spark_has_no_such_flows(project: Project, events: Callable[[], None]) -> None:
    assert "PARSE_SYNTAX_ERROR" in str(project.run(events, BACKFILL).error)


@pytest.mark.riacho_only
def test_rows_are_added_once(project: Project, events: Callable[[], None], landing: Path) -> None:
    old, new = [(10, "old"), (11, "old")], [(1, "one"), (2, "two")]
    first = project.run(events, BACKFILL)
    assert first.completed
    assert first.of("backfill")[:3] == ["is QUEUED.", "is STARTING.", "is RUNNING."]
    assert project.table("events") == sorted([*new, *old], key=repr)
    write_json(landing / "1.json", [{"id": 3, "name": "three"}])
    second = project.run(events, BACKFILL)
    assert second.completed
    assert second.of("backfill") == ["is IDLE."]
    assert project.table("events") == sorted([*new, *old, (3, "three")], key=repr)
    assert project.run(events, BACKFILL, refresh=["events"]).of("backfill") == ["is IDLE."]
    assert project.run(events, BACKFILL, full_refresh=["events"]).completed
    assert project.table("events") == sorted([*new, *old, (3, "three")], key=repr)
    assert project.checkpoints("spark_catalog", project.database, "events", "backfill") == ["0", "1"]


@pytest.mark.spark_only
def test_spark_refuses_it_by_name(spark: SparkSession, project: Project) -> None:
    assert "DEFINE_FLOW_ONCE_OPTION_NOT_SUPPORTED" in str(project.run(_in_python(spark, "t")).error)


@pytest.mark.riacho_only
def test_in_python(spark: SparkSession, project: Project, tmp_path: Path) -> None:
    out = str(tmp_path / "out")

    def into_sink() -> None:
        rp.create_sink("outside", "delta", {"path": out})
        _in_python(spark, "outside")()

    for _ in range(2):
        assert project.run(into_sink).completed
        assert [row.id for row in spark.read.format("delta").load(out).sort("id").collect()] == [0, 1, 2]
    table = _in_python(spark, "t")
    assert project.run("CREATE STREAMING TABLE t", table).completed
    assert project.run("CREATE STREAMING TABLE t", table).of("backfill") == ["is IDLE."]
    assert project.table("t") == [(0,), (1,), (2,)]


def _in_python(spark: SparkSession, target: str) -> Callable[[], None]:
    def define() -> None:
        @rp.append_flow(target=target, once=True)
        def backfill() -> DataFrame:
            return spark.range(3)

        @rp.temporary_view
        def streams_all_the_same() -> DataFrame:
            return spark.range(3)

    return define


@pytest.mark.riacho_only
def test_it_waits_for_what_it_reads(spark: SparkSession, project: Project, tmp_path: Path) -> None:
    out = str(tmp_path / "out")

    def sink() -> None:
        dp.create_sink("outside", "delta", {"path": out})

    outcome = project.run(
        sink,
        "CREATE STREAMING TABLE t; CREATE FLOW f AS INSERT INTO ONCE t BY NAME SELECT sum(a) AS total FROM m",
        "CREATE MATERIALIZED VIEW m AS SELECT explode(array(1, 2, 3)) AS a",
        "CREATE MATERIALIZED VIEW after AS SELECT total + 1 AS more FROM t",
    )
    assert outcome.order("m", "f", "after")
    assert (project.table("t"), project.table("after")) == ([(6,)], [(7,)])


@pytest.mark.riacho_only
def test_it_reads_as_any_query_does(spark: SparkSession, project: Project, tmp_path: Path) -> None:
    """Columns of JSON files in the order of their names, times in the session's time zone."""
    write_json(tmp_path / "old" / "0.json", [{"z": 1, "ts": "2024-03-10T04:30:00Z", "a": "x"}])
    spark.conf.set("spark.sql.session.timeZone", "America/New_York")
    query = f"SELECT *, to_date(CAST(ts AS TIMESTAMP)) AS day FROM json.`{tmp_path / 'old'}`"
    outcome = project.run(f"CREATE STREAMING TABLE t; CREATE FLOW f AS INSERT INTO ONCE t BY NAME {query}")
    assert outcome.completed, (outcome.events, outcome.error)
    assert project.table("t") == [tuple(row) for row in spark.sql(query).collect()]
    assert project.table("t")[0][-1] == date(2024, 3, 9)


@pytest.mark.riacho_only
def test_what_cannot_run_once(project: Project, events: Callable[[], None]) -> None:
    stream = "CREATE STREAMING TABLE t; CREATE FLOW f AS INSERT INTO ONCE t BY NAME SELECT * FROM STREAM events"
    assert "INVALID_FLOW_QUERY_TYPE.STREAMING_RELATION_FOR_ONCE_FLOW" in str(project.dry_run(events, stream).error)
    view = "CREATE TEMPORARY VIEW m AS SELECT 1 AS a; CREATE FLOW f AS INSERT INTO ONCE v BY NAME SELECT 2 AS a"
    assert project.dry_run("CREATE VIEW v AS SELECT 1 AS a", view).error is not None


@pytest.mark.riacho_only
def test_the_rules_of_its_target_hold(project: Project) -> None:
    text = """CREATE STREAMING TABLE t (id BIGINT, CONSTRAINT c EXPECT (id > 0) ON VIOLATION DROP ROW);
        CREATE FLOW f AS INSERT INTO ONCE t BY NAME SELECT id FROM range(3)"""
    for _ in range(2):
        assert project.run(text).completed
        assert project.table("t") == [(1,), (2,)]
