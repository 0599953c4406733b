"""What a definition file may ask of the server while it is imported."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pyspark import pipelines as dp
from pyspark.errors import AnalysisException, PySparkException
from pyspark.pipelines.spark_connect_pipeline import start_run
from pyspark.sql import DataFrame, SparkSession

from tests.spec.pipelines.support import Project


@pytest.mark.parametrize(
    "text", ["SELECT 1", "SHOW TABLES", "DESCRIBE {0}.t", "SHOW CREATE TABLE {0}.t", "SHOW COLUMNS IN {0}.t"]
)
def test_statements_that_only_look_are_allowed(project: Project, text: str) -> None:
    project.run("CREATE MATERIALIZED VIEW t AS SELECT 1 AS a")
    with project.file_being_imported():
        project.spark.sql(text.format(project.database))


@pytest.mark.parametrize(
    ("text", "plan"),
    [
        ("CREATE TABLE t AS SELECT 1", "CreateTableAsSelect"),
        ("INSERT INTO t VALUES (4)", "InsertIntoStatement"),
        ("SET a = b", "SetCommand"),
        ("USE default", "SetCatalogAndNamespace"),
        ("DROP TABLE t", "DropTable"),
        ("CREATE TEMPORARY VIEW v AS SELECT 1", "CreateViewCommand"),
        ("EXPLAIN SELECT 1", "ExplainCommand"),
        ("REFRESH TABLE t", "RefreshTable"),
    ],
)
@pytest.mark.parametrize("flow", [None, "f"])
def test_statements_that_do_more_are_not(project: Project, text: str, plan: str, flow: str | None) -> None:
    with project.file_being_imported(flow), pytest.raises(AnalysisException) as caught:
        project.spark.sql(text)
    assert caught.value.getCondition() == "UNSUPPORTED_PIPELINE_SPARK_SQL_COMMAND"
    assert f"'{plan}' is not supported in spark.sql" in str(caught.value)


def test_a_file_may_look_at_data(project: Project) -> None:
    with project.file_being_imported():
        assert project.spark.range(3).count() == 3
        assert project.spark.range(3).columns == ["id"]


@pytest.mark.parametrize(
    "attempt",
    [
        lambda spark: spark.range(3).schema,
        lambda spark: spark.range(3).count(),
        lambda spark: spark.version,
        lambda spark: spark.catalog.listTables(),
        lambda spark: spark.range(3).createOrReplaceTempView("v"),
        lambda spark: spark.range(3).write.saveAsTable("t"),
    ],
    ids=["schema", "count", "version", "listTables", "createOrReplaceTempView", "saveAsTable"],
)
def test_a_query_function_only_describes(project: Project, attempt: Callable[[SparkSession], object]) -> None:
    with project.file_being_imported("f"), pytest.raises(AnalysisException) as caught:
        attempt(project.spark)
    assert caught.value.getCondition() == "ATTEMPT_ANALYSIS_IN_PIPELINE_QUERY_FUNCTION"


def test_a_query_function_may_name_what_is_not_there_yet(spark: SparkSession, project: Project) -> None:
    def define() -> None:
        @dp.materialized_view
        def above() -> DataFrame:
            return spark.sql("SELECT a + 1 AS a FROM below")

        @dp.materialized_view
        def below() -> DataFrame:
            return spark.sql("SELECT 1 AS a")

    outcome = project.run(define)

    assert outcome.completed, outcome
    assert project.table("above") == [(2,)]


def test_graphs_are_known_by_their_id(project: Project) -> None:
    with pytest.raises(PySparkException) as caught:
        list(start_run(project.spark, "nope", None, False, None, True, "file:///tmp/x"))
    assert caught.value.getCondition() == "DATAFLOW_GRAPH_NOT_FOUND"
