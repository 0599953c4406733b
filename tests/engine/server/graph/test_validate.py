"""The checks of a whole pipeline, in Spark's order."""

from __future__ import annotations

import pytest

from riacho.errors import AnalysisError, SparkError
from riacho.server.graph.failures import UnresolvedPipelineError
from riacho.server.graph.validate import CHECKS, validate
from tests.engine.server.graph.support import Pipelines

SOURCE = "CREATE STREAMING TABLE s AS SELECT id FROM STREAM outside.source;"


def refused(pipelines: Pipelines, text: str) -> SparkError:
    with pytest.raises(SparkError) as caught:
        validate(pipelines.resolve(text))
    return caught.value


@pytest.mark.parametrize(
    ("text", "downstream", "upstream"),
    [
        ("CREATE MATERIALIZED VIEW a AS SELECT * FROM b; CREATE MATERIALIZED VIEW b AS SELECT * FROM a", "a", "b"),
        (
            """CREATE MATERIALIZED VIEW a AS SELECT * FROM c; CREATE MATERIALIZED VIEW b AS SELECT * FROM a;
            CREATE MATERIALIZED VIEW c AS SELECT * FROM b""",
            "a",
            "b",
        ),
        ("CREATE MATERIALIZED VIEW a AS SELECT * FROM a", "a", "a"),
        ("CREATE STREAMING TABLE a; CREATE FLOW f AS INSERT INTO a BY NAME SELECT * FROM STREAM a", "a", "a"),
    ],
)
def test_cycles(pipelines: Pipelines, text: str, downstream: str, upstream: str) -> None:
    assert str(refused(pipelines, text)).startswith(
        f"The downstream table 'spark_catalog.default.{downstream}' is referenced when creating the upstream table or "
        f"view 'spark_catalog.default.{upstream}'. Circular dependencies are not supported in a pipeline."
    )


def test_failed_flows_are_listed_by_whose_fault_it_is(pipelines: Pipelines) -> None:
    error = refused(
        pipelines,
        """CREATE MATERIALIZED VIEW b AS SELECT * FROM a; CREATE MATERIALIZED VIEW z AS SELECT nocolumn;
        CREATE MATERIALIZED VIEW a AS SELECT nocolumn""",
    )
    assert isinstance(error, UnresolvedPipelineError)
    assert "Flows with errors: spark_catalog.default.a, spark_catalog.default.z\n" in str(error)
    assert "Flows that failed due to upstream errors: spark_catalog.default.b\n" in str(error)
    assert [failed.flow.name for failed in error.downstream] == ["b"]


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("CREATE MATERIALIZED VIEW a (id STRING) AS SELECT 1 id", "USER_SPECIFIED_AND_INFERRED_SCHEMA_NOT_COMPATIBLE"),
        ("CREATE MATERIALIZED VIEW a (x STRING) AS SELECT 1 id", "USER_SPECIFIED_AND_INFERRED_SCHEMA_NOT_COMPATIBLE"),
        (
            "CREATE MATERIALIZED VIEW a (id INT) AS SELECT 1 id, 2 b",
            "USER_SPECIFIED_AND_INFERRED_SCHEMA_NOT_COMPATIBLE",
        ),
        (
            "CREATE MATERIALIZED VIEW u AS SELECT 1 a; CREATE FLOW f AS INSERT INTO u BY NAME SELECT 2 a",
            "MATERIALIZED_VIEW_WITH_MULTIPLE_QUERIES",
        ),
        (
            "CREATE TEMPORARY VIEW tv AS SELECT 1 a; CREATE VIEW v AS SELECT * FROM tv",
            "INVALID_TEMP_OBJ_REFERENCE",
        ),
        ("CREATE STREAMING TABLE t", "PIPELINE_DATASET_WITHOUT_FLOW"),
        (
            """CREATE MATERIALIZED VIEW m AS SELECT 1 a; CREATE STREAMING TABLE t
            TBLPROPERTIES ('pipelines.reset.allowed'='false') AS SELECT * FROM STREAM m""",
            "INVALID_RESETTABLE_DEPENDENCY",
        ),
        ("CREATE STREAMING TABLE t AS SELECT 1 a", "INVALID_FLOW_QUERY_TYPE.BATCH_RELATION_FOR_STREAMING_TABLE"),
        (
            SOURCE + "CREATE MATERIALIZED VIEW m AS SELECT * FROM STREAM s",
            "INVALID_FLOW_QUERY_TYPE.STREAMING_RELATION_FOR_MATERIALIZED_VIEW",
        ),
        (
            SOURCE + "CREATE VIEW v AS SELECT * FROM STREAM s",
            "INVALID_FLOW_QUERY_TYPE.STREAMING_RELATION_FOR_PERSISTED_VIEW",
        ),
        (
            """CREATE STREAMING TABLE t; CREATE FLOW f AS INSERT INTO t BY NAME SELECT 1 AS a FROM STREAM o.s;
            CREATE FLOW g AS INSERT INTO t BY NAME SELECT 'x' AS a FROM STREAM o.s""",
            "CANNOT_MERGE_INCOMPATIBLE_DATA_TYPE",
        ),
    ],
)
def test_checks(pipelines: Pipelines, text: str, condition: str) -> None:
    assert refused(pipelines, text).condition == condition


@pytest.mark.parametrize(
    "text",
    [
        "CREATE MATERIALIZED VIEW a (id INT, extra STRING) AS SELECT 1 id",
        "CREATE MATERIALIZED VIEW a (id INT NOT NULL COMMENT 'k') AS SELECT 1 id",
        SOURCE + "CREATE MATERIALIZED VIEW m AS SELECT count(*) AS n FROM s",
        "CREATE STREAMING TABLE t TBLPROPERTIES ('pipelines.reset.allowed'='false') AS SELECT * FROM STREAM o.s",
    ],
)
def test_sound_pipelines(pipelines: Pipelines, text: str) -> None:
    validate(pipelines.resolve(text))


def test_the_first_wrong_thing_is_said(pipelines: Pipelines) -> None:
    both = "CREATE STREAMING TABLE t; CREATE MATERIALIZED VIEW a (id STRING) AS SELECT 1 id"
    assert refused(pipelines, both).condition == "USER_SPECIFIED_AND_INFERRED_SCHEMA_NOT_COMPATIBLE"


def test_declared_and_inferred_schemas_are_drawn(pipelines: Pipelines) -> None:
    message = str(refused(pipelines, "CREATE MATERIALIZED VIEW a (id STRING) AS SELECT 1 id"))
    assert "Declared schema:\nroot\n |-- id: string (nullable = true)\n" in message
    assert "Inferred schema:\nroot\n |-- id: integer (nullable = false)\n" in message


def test_each_check_says_what_it_checks() -> None:
    assert all(check.__doc__ for check in CHECKS)


def test_errors_are_what_clients_know() -> None:
    assert issubclass(UnresolvedPipelineError, AnalysisError)
