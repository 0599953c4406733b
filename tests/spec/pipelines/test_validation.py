"""What is refused before anything runs, in Spark's words."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pyspark.errors import ParseException

from tests.spec.pipelines.support import Project
from tests.spec.support import said, syntax_error

Define = Callable[[], None]


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("", "RUN_EMPTY_PIPELINE"),
        ("CREATE TEMPORARY VIEW v AS SELECT 1 a", "RUN_EMPTY_PIPELINE"),
        ("SELECT 1", "PIPELINE_SQL_GRAPH_ELEMENT_REGISTRATION_ERROR"),
        ("CREATE TABLE t (a INT)", "PIPELINE_SQL_GRAPH_ELEMENT_REGISTRATION_ERROR"),
        ("CREATE MATERIALIZED VIEW m AS SELEC 1", "PARSE_SYNTAX_ERROR"),
        ("CREATE MATERIALIZED VIEW m", "_LEGACY_ERROR_TEMP_0035"),
        ("CREATE MATERIALIZED VIEW m LOCATION '/x' AS SELECT 1 a", "_LEGACY_ERROR_TEMP_0035"),
        ("CREATE MATERIALIZED VIEW m COMMENT 'a' COMMENT 'b' AS SELECT 1 a", "DUPLICATE_CLAUSES"),
        ("CREATE TEMPORARY VIEW a.v AS SELECT 1 a", "INVALID_TEMP_OBJ_QUALIFIER"),
        ("CREATE FLOW f AS INSERT INTO t SELECT 1 a", "PIPELINE_SQL_GRAPH_ELEMENT_REGISTRATION_ERROR"),
        ("CREATE STREAMING TABLE t", "PIPELINE_DATASET_WITHOUT_FLOW"),
        ("CREATE STREAMING TABLE t AS SELECT 1 a", "INVALID_FLOW_QUERY_TYPE.BATCH_RELATION_FOR_STREAMING_TABLE"),
        ("CREATE MATERIALIZED VIEW m (a STRING) AS SELECT 1 a", "USER_SPECIFIED_AND_INFERRED_SCHEMA_NOT_COMPATIBLE"),
        ("CREATE MATERIALIZED VIEW m (b INT) AS SELECT 1 a", "USER_SPECIFIED_AND_INFERRED_SCHEMA_NOT_COMPATIBLE"),
        (
            "CREATE MATERIALIZED VIEW m AS SELECT 1 a; CREATE FLOW f AS INSERT INTO m BY NAME SELECT 2 a",
            "MATERIALIZED_VIEW_WITH_MULTIPLE_QUERIES",
        ),
        ("CREATE TEMPORARY VIEW tv AS SELECT 1 a; CREATE VIEW v AS SELECT * FROM tv", "INVALID_TEMP_OBJ_REFERENCE"),
        (
            """CREATE MATERIALIZED VIEW m AS SELECT 1 a;
            CREATE STREAMING TABLE t TBLPROPERTIES ('pipelines.reset.allowed'='false') AS SELECT * FROM STREAM m""",
            "INVALID_RESETTABLE_DEPENDENCY",
        ),
    ],
)
def test_conditions(project: Project, text: str, condition: str) -> None:
    outcome = project.dry_run(text)

    assert outcome.events == []
    assert outcome.error is not None
    assert outcome.error.getCondition() == condition


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        (
            "CREATE MATERIALIZED VIEW m AS SELECT id FROM STREAM events",
            "INVALID_FLOW_QUERY_TYPE.STREAMING_RELATION_FOR_MATERIALIZED_VIEW",
        ),
        (
            "CREATE VIEW v AS SELECT id FROM STREAM events",
            "INVALID_FLOW_QUERY_TYPE.STREAMING_RELATION_FOR_PERSISTED_VIEW",
        ),
    ],
)
def test_streams_where_batches_must_be(project: Project, events: Define, text: str, condition: str) -> None:
    outcome = project.dry_run(events, text)

    assert outcome.error is not None
    assert outcome.error.getCondition() == condition


@pytest.mark.parametrize(
    ("text", "flows"),
    [
        ("CREATE MATERIALIZED VIEW a AS SELECT * FROM b; CREATE MATERIALIZED VIEW b AS SELECT * FROM a", "ab"),
        ("CREATE STREAMING TABLE a; CREATE FLOW f AS INSERT INTO a BY NAME SELECT * FROM STREAM a", "aa"),
    ],
)
def test_cycles(project: Project, text: str, flows: str) -> None:
    """Which flow of a cycle is named first is chance on Spark."""
    outcome = project.dry_run(text)

    def message(downstream: str, upstream: str) -> str:
        below, above = (f"spark_catalog.{project.database}.{name}" for name in (downstream, upstream))
        return (
            f"The downstream table '{below}' is referenced when creating the upstream table or view '{above}'. "
            "Circular dependencies are not supported in a pipeline. Please remove the dependency between "
            f"'{above}' and '{below}'."
        )

    assert str(outcome.error) in {message(*flows), message(*reversed(flows))}


def test_flows_that_cannot_be_resolved(project: Project) -> None:
    outcome = project.dry_run(
        """CREATE MATERIALIZED VIEW below AS SELECT * FROM wrong;
        CREATE MATERIALIZED VIEW wrong AS SELECT nocolumn FROM (SELECT 1 AS id)"""
    )

    prefix = f"spark_catalog.{project.database}"
    downstream, direct = outcome.events
    assert downstream == (
        f"Failed to resolve flow due to upstream failure: '{prefix}.below'.\nError: Failed to read dataset "
        f"'{prefix}.wrong'. Dataset is defined in the pipeline but could not be resolved."
    )
    assert direct.startswith(f"Failed to resolve flow: '{prefix}.wrong'.\nError: ")
    assert "nocolumn" in direct
    assert f"Flows with errors: {prefix}.wrong\n" in str(outcome.error)
    assert f"Flows that failed due to upstream errors: {prefix}.below\n" in str(outcome.error)


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        (
            "CREATE TEMPORARY VIEW v AS SELECT 1 id; CREATE STREAMING TABLE t AS SELECT * FROM STREAM v",
            "INCOMPATIBLE_BATCH_VIEW_READ",
        ),
        (
            "CREATE TEMPORARY VIEW v AS SELECT id FROM STREAM events; CREATE MATERIALIZED VIEW t AS SELECT * FROM v",
            "INCOMPATIBLE_STREAMING_VIEW_READ",
        ),
    ],
)
def test_views_are_read_the_way_they_run(project: Project, events: Define, text: str, condition: str) -> None:
    outcome = project.dry_run(events, text)

    assert outcome.events[0].startswith(
        f"Failed to resolve flow: 'spark_catalog.{project.database}.t'.\nError: [{condition}] View `v` is a "
    )


def test_confs_of_a_view_and_its_reader_must_agree(project: Project) -> None:
    outcome = project.dry_run(
        """SET spark.sql.shuffle.partitions = 3; CREATE TEMPORARY VIEW v AS SELECT 1 a;
        SET spark.sql.shuffle.partitions = 4; CREATE MATERIALIZED VIEW m AS SELECT * FROM v"""
    )

    assert "'spark.sql.shuffle.partitions' is defined by both 'v' and" in (str(outcome.error) + str(outcome.events))


def test_where_a_wrong_statement_stands(project: Project) -> None:
    outcome = project.dry_run("\n\nCREATE MATERIALIZED VIEW m AS SELECT 1 a;\n\n  SELECT 2")

    assert "Offending query:\nSELECT 2\n\nQuery defined at definitions_0.sql:5" in str(outcome.error)


@pytest.mark.parametrize(
    ("storage", "text"),
    [("", "Storage must be specified to start a run."), ("/tmp/x", "PIPELINE_STORAGE_ROOT_INVALID")],
)
def test_storage(project: Project, storage: str, text: str) -> None:
    assert text in str(project.dry_run("CREATE MATERIALIZED VIEW m AS SELECT 1 a", storage=storage).error)


def test_a_dry_run_leaves_no_trace(project: Project, events: Define) -> None:
    outcome = project.dry_run(events, "CREATE MATERIALIZED VIEW m AS SELECT count(*) AS n FROM events")

    assert outcome.events == ["Run is COMPLETED."]
    assert outcome.error is None
    assert project.spark.catalog.listTables(project.database) == []
    assert not project.storage.exists()


def test_syntax_errors_have_a_place(project: Project) -> None:
    for text, near, line, position in [
        ("CREATE STREAMING TABLE t x", "'x': extra input 'x'", 1, 25),
        ("CREATE MATERIALIZED x", "'x': missing 'VIEW'", 1, 20),
        ("CREATE STREAMING TABLE t COMMENT x", "'x'", 1, 33),
        ("CREATE STREAMING TABLE t (a INT", "end of input", 1, 31),
        ("CREATE STREAMING TABLE t\n(a INT,)", "')'", 2, 7),
        ("CREATE STREAMING TABLE t USING", "end of input", 1, 30),
        ("CREATE MATERIALIZED VIEW m PARTITIONED (a) AS SELECT 1", "'(': missing 'BY'", 1, 39),
        ("CREATE MATERIALIZED VIEW m AS\nSELEC 1", "'SELEC'", 2, 0),
        ("CREATE MATERIALIZED VIEW m AS (FOO)", "'FOO'", 1, 31),
        ("CREATE FLOW AS INSERT INTO t BY NAME SELECT 1", "'INSERT'", 1, 15),
        ("CREATE FLOW f INSERT INTO t BY NAME SELECT 1", "'INSERT'", 1, 14),
        ("USE DATABASE a b", "'b': extra input 'b'", 1, 15),
        ("CREATE STREAMING TABLE t AS SELECT * FROM STREAM s\nWATERMARK ts", "end of input", 2, 12),
        ("SELECT 'x", "'''", 1, 7),
    ]:
        error = project.dry_run(text).error
        assert isinstance(error, ParseException)
        assert said(error) == syntax_error(text, near, line, position)
