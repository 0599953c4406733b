from __future__ import annotations

import pytest

from riacho.errors import AnalysisError, SparkError
from riacho.server.graph.elements import PipelineTable, TableKind
from riacho.server.graph.names import Identifier
from tests.engine.server.graph.support import Pipelines
from tests.unit.server.graph.support import full

OK = "CREATE MATERIALIZED VIEW ok AS SELECT 1 id;"


def test_names_are_made_full_where_they_are_defined(pipelines: Pipelines) -> None:
    graph = pipelines.graph(
        """CREATE MATERIALIZED VIEW a AS SELECT 1; USE DATABASE db2; CREATE MATERIALIZED VIEW b AS SELECT 1;
        CREATE TEMPORARY VIEW v AS SELECT 1; CREATE VIEW default.c AS SELECT 1; USE SCHEMA spark_catalog.db3;
        CREATE STREAMING TABLE s""",
        "CREATE MATERIALIZED VIEW d AS SELECT 1",
    )
    assert [str(name) for name in graph.definition().outputs] == [
        "spark_catalog.default.a",
        "spark_catalog.db2.b",
        "v",
        "spark_catalog.default.c",
        "spark_catalog.db3.s",
        "spark_catalog.default.d",
    ]


def test_confs_hold_from_their_place_to_the_end_of_the_file(pipelines: Pipelines) -> None:
    graph = pipelines.graph(
        "CREATE MATERIALIZED VIEW a AS SELECT 1; SET k = own; CREATE MATERIALIZED VIEW b AS SELECT 1",
        "CREATE MATERIALIZED VIEW c AS SELECT 1",
        conf={"k": "graph", "other": "1"},
    )
    assert [flow.conf["k"] for flow in graph.definition().flows.values()] == ["graph", "own", "graph"]
    assert all(flow.conf["other"] == "1" for flow in graph.definition().flows.values())


def test_a_table_as_it_was_declared(pipelines: Pipelines) -> None:
    definition = pipelines.graph(
        "CREATE STREAMING TABLE t (id BIGINT NOT NULL) PARTITIONED BY (id) COMMENT 'c' TBLPROPERTIES ('k'='v')"
    ).definition()
    table = definition.table(full("t"))
    assert isinstance(table, PipelineTable)
    assert table.kind is TableKind.STREAMING_TABLE
    assert table.schema is not None
    assert (table.schema.names, table.schema.field("id").nullable) == (["id"], False)
    assert (table.partition_by, table.comment, table.properties) == (("id",), "c", {"k": "v"})


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("", "RUN_EMPTY_PIPELINE"),
        ("CREATE TEMPORARY VIEW v AS SELECT 1", "RUN_EMPTY_PIPELINE"),
        (OK + OK, "PIPELINE_DUPLICATE_IDENTIFIERS.OUTPUT"),
        (OK + "CREATE VIEW ok AS SELECT 1", "PIPELINE_DUPLICATE_IDENTIFIERS.OUTPUT"),
        (
            """CREATE STREAMING TABLE t; CREATE STREAMING TABLE u; CREATE FLOW f AS INSERT INTO t BY NAME SELECT 1 a;
            CREATE FLOW f AS INSERT INTO u BY NAME SELECT 1 a""",
            "PIPELINE_DUPLICATE_IDENTIFIERS.FLOW",
        ),
        (
            "CREATE STREAMING TABLE t; CREATE STREAMING TABLE u; CREATE FLOW u AS INSERT INTO t BY NAME SELECT 1 a",
            "FLOW_NAME_CONFLICTS_WITH_TABLE",
        ),
    ],
)
def test_what_is_wrong_as_a_whole_shows_at_the_end(pipelines: Pipelines, text: str, condition: str) -> None:
    graph = pipelines.graph(text)
    with pytest.raises(AnalysisError) as caught:
        graph.definition()
    assert caught.value.condition == condition


def test_types_of_duplicates_are_sorted(pipelines: Pipelines) -> None:
    with pytest.raises(
        AnalysisError, match="register a TABLE with identifier `spark_catalog`.`default`.`ok`, but a VI"
    ):
        pipelines.graph("CREATE VIEW ok AS SELECT 1;" + OK).definition()


def test_a_temporary_view_shares_no_name_with_a_table(pipelines: Pipelines) -> None:
    definition = pipelines.graph("CREATE TEMPORARY VIEW ok AS SELECT 1;" + OK).definition()
    assert list(definition.outputs) == [Identifier(("ok",)), full("ok")]


@pytest.mark.parametrize("target", ["nope", "tv"])
def test_a_flow_to_nowhere(pipelines: Pipelines, target: str) -> None:
    text = f"CREATE TEMPORARY VIEW tv AS SELECT 1 a; CREATE FLOW f AS INSERT INTO {target} BY NAME SELECT 1 a"
    with pytest.raises(SparkError, match=f"Unsupported destination spark_catalog.default.{target} in flow"):
        pipelines.graph(OK + text).definition()


def test_flow_names_have_one_part(pipelines: Pipelines) -> None:
    with pytest.raises(AnalysisError, match=r"Flow with multipart name 'a.b' is not supported"):
        pipelines.graph("CREATE STREAMING TABLE t; CREATE FLOW a.b AS INSERT INTO t BY NAME SELECT 1")


def test_four_parts_are_too_many(pipelines: Pipelines) -> None:
    with pytest.raises(SparkError, match=r"4\+ part table identifier a.b.c.d is not supported"):
        pipelines.graph("CREATE MATERIALIZED VIEW a.b.c.d AS SELECT 1")


def test_no_database_is_current_after_set_catalog(pipelines: Pipelines) -> None:
    with pytest.raises(SparkError, match="USE DATABASE first"):
        pipelines.graph("SET CATALOG spark_catalog;" + OK)
