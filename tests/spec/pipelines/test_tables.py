"""What a run makes of tables: columns that come and go, comments, properties, partitions, views, sinks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pyspark import pipelines as dp
from pyspark.sql import DataFrame, SparkSession

from tests.spec.pipelines.support import FAST_RETRIES, Project
from tests.spec.support import files, write_json

Define = Callable[[], None]


def test_a_materialized_view_has_the_columns_of_its_last_query(project: Project) -> None:
    project.run("CREATE MATERIALIZED VIEW m AS SELECT 1 AS a, 'x' AS b")
    assert project.columns("m") == "struct<a:int,b:string>"
    outcome = project.run("CREATE MATERIALIZED VIEW m AS SELECT 'y' AS b, CAST(5 AS DECIMAL(10, 2)) AS c")

    assert outcome.completed, outcome
    assert project.columns("m") == "struct<b:string,c:decimal(10,2)>"
    assert [row.asDict() for row in project.spark.table(f"{project.database}.m").collect()] == [
        {"b": "y", "c": pytest.approx(5)}
    ]


def test_a_streaming_table_gains_columns_and_loses_none(project: Project, landing: Path) -> None:
    def table_of(*columns: str) -> Define:
        def define() -> None:
            @dp.table
            def grown() -> DataFrame:
                return files(project.spark, landing, "id BIGINT, name STRING").selectExpr(*columns)

        return define

    project.run(table_of("id", "name"))
    write_json(landing / "1.json", [{"id": 3, "name": "three"}])
    outcome = project.run(table_of("id", "'new' AS added"))

    assert outcome.completed, outcome
    assert project.columns("grown") == "struct<id:bigint,name:string,added:string>"
    assert project.table("grown") == [(1, "one", None), (2, "two", None), (3, None, "new")]


def test_comment_and_properties(project: Project) -> None:
    project.run(
        """CREATE MATERIALIZED VIEW m COMMENT 'hello' TBLPROPERTIES ('a.b' = 'c', 'pipelines.foo' = '1',
        'pipelines.reset.allowed' = 'false') AS SELECT 1 AS a"""
    )
    shown = project.spark.sql(f"SHOW TBLPROPERTIES {project.database}.m").collect()
    properties = {row[0]: row[1] for row in shown}

    assert properties["a.b"] == "c"
    assert properties["pipelines.reset.allowed"] == "false"
    assert "pipelines.foo" not in properties
    assert project.spark.catalog.getTable(f"{project.database}.m").description == "hello"


def test_partitions(project: Project, landing: Path) -> None:
    def partitioned_by(column: str) -> Define:
        def define() -> None:
            @dp.table(partition_cols=[column])
            def parts() -> DataFrame:
                return files(project.spark, landing, "id BIGINT, name STRING")

        return define

    assert project.run(partitioned_by("name")).completed
    assert {(row["id"], row["name"]) for row in project.spark.table(f"{project.database}.parts").collect()} == {
        (1, "one"),
        (2, "two"),
    }
    outcome = project.run(partitioned_by("id"))
    assert "CANNOT_UPDATE_PARTITION_COLUMNS" in str(outcome.error)


@pytest.mark.spark_bug("a materialized view with more declared columns than its query passes all checks, then fails")
def test_a_declared_schema_may_have_more_columns(project: Project) -> None:
    outcome = project.run("CREATE MATERIALIZED VIEW m (a INT NOT NULL, extra STRING) AS SELECT 1 AS a")

    assert outcome.completed, outcome
    assert project.table("m") == [(1, None)]


def test_a_persisted_view_is_there_for_all(project: Project) -> None:
    outcome = project.run(
        """CREATE VIEW over_view AS SELECT n + 1 AS n FROM view_of_m; CREATE VIEW view_of_m AS SELECT n FROM m;
        CREATE MATERIALIZED VIEW m AS SELECT 1 AS n; CREATE MATERIALIZED VIEW below AS SELECT n FROM view_of_m"""
    )

    assert outcome.completed, outcome
    assert project.table("view_of_m") == [(1,)]
    assert project.table("over_view") == [(2,)]
    assert project.table("below") == [(1,)]


@pytest.fixture
def two_flows(spark: SparkSession, landing: Path) -> Define:
    """A Delta table with two flows: several streams into one Parquet table lose rows on Spark."""
    write_json(landing.parent / "more" / "0.json", [{"id": 10}])

    def define() -> None:
        dp.create_streaming_table("both", format="delta")

        @dp.append_flow(target="both")
        def first() -> DataFrame:
            return files(spark, landing)

        @dp.append_flow(target="both", name="second")
        def any_name() -> DataFrame:
            return files(spark, landing.parent / "more")

    return define


def test_two_flows_into_one_table_have_a_checkpoint_each(project: Project, two_flows: Define) -> None:
    assert project.run(two_flows).completed
    assert project.table("both") == [(1,), (10,), (2,)]
    target = ("spark_catalog", project.database, "both")
    assert project.checkpoints(*target) == ["first", "second"]
    assert project.checkpoints(*target, "second") == ["0"]


@pytest.mark.spark_bug("a pipeline's Delta table takes no second run: DELTA_CANNOT_CHANGE_PROVIDER")
def test_two_flows_go_on_where_each_of_them_was(project: Project, two_flows: Define, landing: Path) -> None:
    project.run(two_flows)
    write_json(landing.parent / "more" / "1.json", [{"id": 11}])

    assert project.run(two_flows).completed
    assert project.table("both") == [(1,), (10,), (11,), (2,)]


def test_a_sink(spark: SparkSession, project: Project, landing: Path) -> None:
    out = landing.parent / "out"

    def define() -> None:
        dp.create_sink("outside", "delta", {"path": str(out)})

        @dp.append_flow(target="outside")
        def deliver() -> DataFrame:
            return files(spark, landing)

    outcome = project.run(define)

    assert outcome.completed, outcome
    assert outcome.events[0] == "Flow deliver is QUEUED."
    assert sorted(row.id for row in spark.read.format("delta").load(str(out)).collect()) == [1, 2]
    assert project.checkpoints("outside", "deliver") == ["0"]


@pytest.mark.riacho_only
def test_readers_never_see_a_materialized_view_empty(project: Project) -> None:
    """Spark empties the table before it runs the query; a failed run leaves it so."""
    assert project.run("CREATE MATERIALIZED VIEW m AS SELECT 1 AS a").completed
    outcome = project.run(
        "CREATE MATERIALIZED VIEW m AS SELECT CAST(raise_error('boom') AS INT) AS a",
        conf={"spark.sql.pipelines.maxFlowRetryAttempts": "0"},
    )

    assert "boom" in str(outcome.error)
    assert project.table("m") == [(1,)]


@pytest.mark.riacho_only
def test_a_pipeline_has_a_place_for_the_schemas_of_cloud_files(project: Project, landing: Path) -> None:
    def define() -> None:
        @dp.table
        def landed() -> DataFrame:
            reader = project.spark.readStream.format("cloudFiles").option("cloudFiles.format", "json")
            return reader.option("cloudFiles.inferColumnTypes", "true").load(str(landing))

    outcome = project.run(define)
    assert outcome.completed, outcome
    assert project.columns("landed") == "struct<id:bigint,name:string,_rescued_data:string>"
    write_json(landing / "9.json", [{"id": 9, "name": "nine", "more": True}])
    outcome = project.run(define, conf=FAST_RETRIES)
    assert outcome.completed, outcome
    assert project.columns("landed") == "struct<id:bigint,name:string,_rescued_data:string,more:boolean>"
    assert project.table("landed")[-1] == (9, "nine", None, True)
