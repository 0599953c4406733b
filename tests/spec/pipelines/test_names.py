"""What names mean: in the file they stand in, in the graph, and in the catalog."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
from pyspark import pipelines as dp
from pyspark.sql import DataFrame, SparkSession

from tests.spec.pipelines.support import Project

OK = "CREATE MATERIALIZED VIEW ok AS SELECT 1 AS id;"


@pytest.fixture
def other(spark: SparkSession) -> Iterator[str]:
    """A second database."""
    name = f"o_{uuid4().hex[:12]}"
    spark.sql(f"CREATE DATABASE {name}")
    yield name
    spark.sql(f"DROP DATABASE {name} CASCADE")


def test_use_holds_to_the_end_of_its_file(project: Project, spark: SparkSession, other: str) -> None:
    outcome = project.run(
        f"""USE DATABASE {other};
        CREATE MATERIALIZED VIEW there AS SELECT 1 AS n;
        CREATE MATERIALIZED VIEW there_too AS SELECT n + 1 AS n FROM there;
        USE SCHEMA {project.database};
        CREATE MATERIALIZED VIEW here AS SELECT n + 2 AS n FROM {other}.there""",
        f"CREATE MATERIALIZED VIEW here_too AS SELECT n + 3 AS n FROM {other}.there",
    )

    assert outcome.completed, outcome
    assert spark.table(f"{other}.there_too").collect()[0].n == 2
    assert project.table("here") == [(3,)]
    assert project.table("here_too") == [(4,)]


def test_plain_use_is_not_for_definition_files(project: Project, other: str) -> None:
    outcome = project.dry_run(f"USE {other};" + OK)

    assert "Unsupported plan SetCatalogAndNamespace parsed from SQL query" in str(outcome.error)


def test_unqualified_reads_of_other_tables_mean_the_database_in_use(project: Project, other: str) -> None:
    project.run("CREATE MATERIALIZED VIEW outside AS SELECT 5 AS n")
    reads = "CREATE MATERIALIZED VIEW m AS SELECT n FROM outside"

    assert project.run(reads).completed
    assert project.table("m") == [(5,)]
    outcome = project.dry_run(f"USE DATABASE {other};{reads}")
    assert outcome.events[0].startswith(
        f"Failed to resolve flow: 'spark_catalog.{other}.m'.\nError: [TABLE_OR_VIEW_NOT"
    )


def test_a_temporary_view_hides_a_table_of_its_name(project: Project) -> None:
    outcome = project.run(
        f"""CREATE MATERIALIZED VIEW t AS SELECT 1 AS a; CREATE TEMPORARY VIEW t AS SELECT 2 AS a;
        CREATE MATERIALIZED VIEW of_view AS SELECT a FROM t;
        CREATE MATERIALIZED VIEW of_table AS SELECT a FROM {project.database}.t"""
    )

    assert outcome.completed, outcome
    assert project.table("of_view") == [(2,)]
    assert project.table("of_table") == [(1,)]


def test_common_table_expressions_hide_datasets(project: Project) -> None:
    outcome = project.run(
        "CREATE MATERIALIZED VIEW q AS SELECT 1 AS a;"
        "CREATE MATERIALIZED VIEW m AS WITH q AS (SELECT 2 AS b) SELECT b FROM q"
    )

    assert outcome.completed, outcome
    assert project.table("m") == [(2,)]


def _duplicate_in_python(spark: SparkSession) -> Callable[[], None]:
    def define() -> None:
        @dp.materialized_view
        def ok() -> DataFrame:
            return spark.range(1)

    return define


def test_duplicates_across_files_and_languages(spark: SparkSession, project: Project) -> None:
    outcome = project.dry_run(OK, _duplicate_in_python(spark))

    assert outcome.error is not None
    assert outcome.error.getCondition() == "PIPELINE_DUPLICATE_IDENTIFIERS.OUTPUT"
    assert f"a TABLE with identifier `spark_catalog`.`{project.database}`.`ok`" in str(outcome.error)


def test_duplicate_flows(project: Project) -> None:
    outcome = project.dry_run(
        """CREATE STREAMING TABLE t; CREATE STREAMING TABLE u; CREATE FLOW f AS INSERT INTO t BY NAME SELECT 1 a;
        CREATE FLOW f AS INSERT INTO u BY NAME SELECT 1 a"""
    )

    assert outcome.error is not None
    assert outcome.error.getCondition() == "PIPELINE_DUPLICATE_IDENTIFIERS.FLOW"


def test_flow_names_have_one_part(project: Project) -> None:
    outcome = project.dry_run("CREATE STREAMING TABLE t; CREATE FLOW a.b AS INSERT INTO t BY NAME SELECT 1 a")

    assert outcome.error is not None
    assert outcome.error.getCondition() == "MULTIPART_FLOW_NAME_NOT_SUPPORTED"


def test_a_flow_needs_a_target_of_the_pipeline(project: Project) -> None:
    outcome = project.dry_run(OK + "CREATE FLOW f AS INSERT INTO nope BY NAME SELECT 1 a")

    assert f"Unsupported destination spark_catalog.{project.database}.nope in flow" in str(outcome.error)


def test_a_missing_default_database(spark: SparkSession, project: Project) -> None:
    project.database = "there_is_none"
    outcome = project.dry_run(OK)

    assert outcome.error is not None
    assert outcome.error.getCondition() == "SCHEMA_NOT_FOUND"


def test_names_may_have_capitals(project: Project, spark: SparkSession) -> None:
    """In the pipeline they are what is written, case and all; in the catalog case makes no difference."""

    def python() -> None:
        @dp.materialized_view(name="Um_Nome")
        def _() -> DataFrame:
            return spark.range(2).toDF("Id")

        @dp.materialized_view
        def UmaFuncao() -> DataFrame:
            return spark.read.table("Um_Nome")

        @dp.temporary_view
        def UmaVista() -> DataFrame:
            return spark.read.table("UmaFuncao").filter("id = 1")

        @dp.table
        def Fluxo() -> DataFrame:
            return spark.readStream.table("Origem")

    text = (
        "CREATE MATERIALIZED VIEW Sql_Mv AS SELECT Id + 1 AS Mais FROM UmaVista;"
        "CREATE VIEW Guardada AS SELECT max(mais) AS m FROM Sql_Mv;"
        "CREATE STREAMING TABLE Outro; CREATE FLOW Um_Fluxo AS INSERT INTO Outro BY NAME SELECT * FROM STREAM Fluxo"
    )
    spark.range(2).write.format("delta").saveAsTable(f"{project.database}.Origem")
    for _ in range(2):  # a table of another run is the same one
        outcome = project.run(python, text)
        assert outcome.completed, outcome
        assert outcome.order("Um_Nome", "UmaFuncao", "Sql_Mv")
        assert sorted(project.table("UMAFUNCAO")) == [(0,), (1,)]
        assert project.table("sql_mv") == [(2,)]
        assert project.table("Guardada") == [(2,)]
        assert sorted(project.table("outro")) == sorted(project.table("FLUXO")) == [(0,), (1,)]
    names = {row.tableName for row in spark.sql(f"SHOW TABLES IN {project.database}").collect()}
    assert {"um_nome", "umafuncao", "fluxo", "outro", "sql_mv", "guardada"} <= names


def test_names_that_differ_in_case_are_two_in_a_pipeline(project: Project) -> None:
    outcome = project.dry_run(
        "CREATE MATERIALIZED VIEW Sql_Mv AS SELECT 1 AS a; CREATE MATERIALIZED VIEW m AS SELECT a FROM SQL_MV"
    )
    assert "TABLE_OR_VIEW_NOT_FOUND" in outcome.events[0]
