"""What a run does first, and what it says of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pyspark import pipelines as dp
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from tests.spec.pipelines.support import Project
from tests.spec.support import write_json

Define = Callable[[], None]

DIAMOND = """
CREATE MATERIALIZED VIEW bottom AS SELECT l.id, r.twice FROM left_side l JOIN right_side r ON l.id = r.id;
CREATE MATERIALIZED VIEW right_side AS SELECT id, id * 2 AS twice FROM events;
CREATE MATERIALIZED VIEW left_side AS SELECT id FROM events;
"""


def test_a_diamond_runs_from_its_source_whatever_the_order_of_its_definitions(project: Project, events: Define) -> None:
    outcome = project.run(DIAMOND, events)

    assert outcome.completed
    assert outcome.order("events", "left_side", "bottom")
    assert outcome.order("events", "right_side", "bottom")
    assert project.table("bottom") == [(1, 2), (2, 4)]


def test_what_is_said_of_a_flow(project: Project, events: Define) -> None:
    outcome = project.run(events, "CREATE MATERIALIZED VIEW total AS SELECT count(*) AS n FROM events")

    assert outcome.of("events") == ["is QUEUED.", "is STARTING.", "is RUNNING.", "has COMPLETED."]
    assert outcome.of("total") == ["is QUEUED.", "is PLANNING.", "is STARTING.", "is RUNNING.", "has COMPLETED."]
    assert f"Flow spark_catalog.{project.database}.total is QUEUED." in outcome.events
    assert outcome.events[-1] == "Run is COMPLETED."


def test_a_second_run_reads_what_has_come_since(project: Project, events: Define, landing: Path) -> None:
    total = "CREATE MATERIALIZED VIEW total AS SELECT count(*) AS n FROM events"
    project.run(events, total)
    assert project.run(events, total).completed
    assert project.table("total") == [(2,)]

    write_json(landing / "1.json", [{"id": 3, "name": "three"}])
    project.run(events, total)

    assert project.table("events") == [(1, "one"), (2, "two"), (3, "three")]
    assert project.table("total") == [(3,)]
    assert project.checkpoints("spark_catalog", project.database, "events", "events") == ["0"]


def test_python_definitions_of_every_kind(spark: SparkSession, project: Project, events: Define) -> None:
    def define() -> None:
        @dp.temporary_view
        def some() -> DataFrame:
            return spark.readStream.table("events").where("id > 1")

        @dp.table(comment="upper case", partition_cols=["id"])
        def upper() -> DataFrame:
            return spark.readStream.table("some").selectExpr("id", "upper(name) AS name")

        @dp.materialized_view(name="counted", schema="n BIGINT NOT NULL")
        def any_name() -> DataFrame:
            return spark.sql("SELECT count(*) AS n FROM upper")

        @dp.materialized_view
        def joined() -> DataFrame:
            left, right = spark.read.table("events"), spark.table("upper")
            return left.join(right, left["id"] == right["id"]).select(left["name"], right["name"].alias("upper"))

    outcome = project.run(events, define)

    assert outcome.completed, outcome
    assert outcome.order("events", "upper", "counted")
    assert [row.asDict() for row in spark.table(f"{project.database}.upper").collect()] == [{"id": 2, "name": "TWO"}]
    assert project.table("counted") == [(1,)]
    assert project.table("joined") == [("two", "TWO")]


def test_columns_can_be_named_by_table_and_database(project: Project, events: Define) -> None:
    outcome = project.run(
        events,
        f"""CREATE MATERIALIZED VIEW named AS SELECT events.id a, {project.database}.events.id b,
        spark_catalog.{project.database}.events.name c FROM events WHERE id = 1""",
    )

    assert outcome.completed, outcome
    assert project.table("named") == [(1, 1, "one")]


def test_streams_in_sql(project: Project, events: Define) -> None:
    outcome = project.run(
        events,
        """CREATE STREAMING TABLE plain AS SELECT id FROM STREAM events;
        CREATE STREAMING TABLE bracketed AS
        WITH e AS (SELECT * FROM STREAM(events) AS x WHERE x.id = 2) SELECT * FROM e;
        CREATE TEMPORARY VIEW doubled AS SELECT id * 2 AS id FROM STREAM events;
        CREATE STREAMING TABLE of_view AS SELECT id FROM STREAM doubled;""",
    )

    assert outcome.completed, outcome
    assert project.table("plain") == [(1,), (2,)]
    assert project.table("bracketed") == [(2, "two")]
    assert project.table("of_view") == [(2,), (4,)]


@pytest.mark.spark_bug("analyses watermarks and deduplication while a file is read, when the table is not there yet")
def test_what_only_streams_can_do_with_a_table_of_the_pipeline(project: Project, events: Define) -> None:
    """Deduplication within a watermark, session windows and watermarks over a table that is not there yet."""

    def define() -> None:
        @dp.table
        def once() -> DataFrame:
            read = project.spark.readStream.table("events").withColumn("ts", F.timestamp_seconds("id"))
            return read.withWatermark("ts", "1 minute").dropDuplicatesWithinWatermark(["id"])

        @dp.table
        def visits() -> DataFrame:
            read = project.spark.readStream.table("once").withWatermark("ts", "1 second")
            counted = read.groupBy(F.session_window("ts", "1 second"), "id").agg(F.count("*").alias("n"))
            return counted.select("id", "n", F.col("session_window.start").alias("start"))

    outcome = project.run(events, define)

    assert outcome.completed, outcome
    assert project.columns("once") == "struct<id:bigint,name:string,ts:timestamp>"
    assert project.columns("visits") == "struct<id:bigint,n:bigint,start:timestamp>"
