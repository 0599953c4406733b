from __future__ import annotations

import pyarrow as pa
import pytest

from riacho.conf import VIEW_CHECK
from riacho.protos import pb
from riacho.server.graph.elements import Flow
from riacho.server.graph.names import Identifier
from riacho.server.plan.facts import is_streaming, leaves
from tests.engine.server.graph.support import Pipelines
from tests.unit.server.graph.support import SCOPE, full

DIAMOND = """
CREATE MATERIALIZED VIEW bottom AS SELECT l.id, r.twice FROM `left` l JOIN `right` r ON l.id = r.id;
CREATE MATERIALIZED VIEW `right` AS SELECT id, id * 2 AS twice FROM top;
CREATE MATERIALIZED VIEW `left` AS SELECT id FROM top;
CREATE STREAMING TABLE top AS SELECT id, name FROM STREAM outside.source;
"""


def test_a_diamond_is_resolved_from_its_source(pipelines: Pipelines) -> None:
    resolution = pipelines.resolve(DIAMOND)
    assert resolution.unresolved == {}
    assert [name.name for name in resolution.flows] == ["top", "right", "left", "bottom"]
    bottom = resolution.flows[full("bottom")]
    assert bottom.inputs == (full("left"), full("right"))
    assert (bottom.schema.names, bottom.streaming) == (["id", "twice"], False)
    top = resolution.flows[full("top")]
    assert (top.inputs, top.streaming) == ((), True)


def test_a_table_has_the_columns_of_all_its_flows(pipelines: Pipelines) -> None:
    resolution = pipelines.resolve(
        """CREATE STREAMING TABLE t (declared STRING);
        CREATE FLOW f AS INSERT INTO t BY NAME SELECT id FROM STREAM outside.source;
        CREATE FLOW g AS INSERT INTO t BY NAME SELECT name, id FROM STREAM outside.source;
        CREATE MATERIALIZED VIEW m AS SELECT * FROM t"""
    )
    assert resolution.flows[full("m")].schema.names == ["declared", "id", "name"]


def test_unqualified_names_mean_the_scope_of_their_file(pipelines: Pipelines) -> None:
    resolution = pipelines.resolve(
        """USE DATABASE db2; CREATE MATERIALIZED VIEW t AS SELECT 1 AS two;
        CREATE MATERIALIZED VIEW u AS SELECT * FROM t""",
        "CREATE MATERIALIZED VIEW t AS SELECT 1 AS one; CREATE MATERIALIZED VIEW u AS SELECT * FROM t",
    )
    schemas = {str(flow.identifier): flow.schema.names for flow in resolution.flows.values()}
    assert schemas["spark_catalog.db2.u"] == ["two"]
    assert schemas["spark_catalog.default.u"] == ["one"]


def test_a_temporary_view_hides_a_table_of_its_name(pipelines: Pipelines) -> None:
    resolution = pipelines.resolve(
        """CREATE MATERIALIZED VIEW t AS SELECT 1 AS of_table; CREATE TEMPORARY VIEW t AS SELECT 1 AS of_view;
        CREATE MATERIALIZED VIEW a AS SELECT * FROM t; CREATE MATERIALIZED VIEW b AS SELECT * FROM default.t"""
    )
    assert resolution.flows[full("a")].schema.names == ["of_view"]
    assert resolution.flows[full("a")].inputs == (Identifier(("t",)),)
    assert resolution.flows[full("b")].schema.names == ["of_table"]


def test_views_are_read_the_way_they_run(pipelines: Pipelines) -> None:
    text = """CREATE TEMPORARY VIEW batch AS SELECT 1 id; CREATE TEMPORARY VIEW streaming AS SELECT * FROM STREAM o.s;
        CREATE STREAMING TABLE a AS SELECT * FROM STREAM batch; CREATE MATERIALIZED VIEW b AS SELECT * FROM streaming;
        CREATE STREAMING TABLE c AS SELECT * FROM STREAM streaming"""
    resolution = pipelines.resolve(text)
    assert resolution.unresolved[full("a")].error.condition == "INCOMPATIBLE_BATCH_VIEW_READ"
    assert resolution.unresolved[full("b")].error.condition == "INCOMPATIBLE_STREAMING_VIEW_READ"
    assert resolution.flows[full("c")].streaming
    pipelines.confs[VIEW_CHECK.key] = "false"
    unchecked = pipelines.resolve(text)
    assert unchecked.unresolved == {}
    assert not unchecked.flows[full("a")].streaming
    assert unchecked.flows[full("b")].streaming


def test_what_is_wrong_and_what_depends_on_it(pipelines: Pipelines) -> None:
    resolution = pipelines.resolve(
        """CREATE MATERIALIZED VIEW c AS SELECT * FROM b; CREATE MATERIALIZED VIEW b AS SELECT * FROM a;
        CREATE MATERIALIZED VIEW a AS SELECT nocolumn FROM (SELECT 1 AS id); CREATE MATERIALIZED VIEW d AS SELECT 1 x"""
    )
    errors = {name.name: str(failure.error) for name, failure in resolution.unresolved.items()}
    assert "nocolumn" in errors["a"]
    assert errors["b"] == (
        "Failed to read dataset 'spark_catalog.default.a'. Dataset is defined in the pipeline but could not be "
        "resolved."
    )
    assert "'spark_catalog.default.b'" in errors["c"]
    assert list(resolution.flows) == [full("d")]


def test_a_named_flow_is_no_dataset(pipelines: Pipelines) -> None:
    resolution = pipelines.resolve(
        """CREATE STREAMING TABLE t; CREATE FLOW f AS INSERT INTO t BY NAME SELECT id FROM STREAM outside.source;
        CREATE MATERIALIZED VIEW m AS SELECT * FROM f"""
    )
    assert "Failed to read dataset 'spark_catalog.default.f'" in str(resolution.unresolved[full("m")].error)


def test_confs_of_views_come_along_and_must_agree(pipelines: Pipelines) -> None:
    resolution = pipelines.resolve(
        """SET a = 1; CREATE TEMPORARY VIEW v AS SELECT 1 id; CREATE MATERIALIZED VIEW same AS SELECT * FROM v;
        SET a = 2; CREATE MATERIALIZED VIEW other AS SELECT * FROM v""",
        "CREATE MATERIALIZED VIEW without AS SELECT * FROM v",
    )
    assert resolution.flows[full("without")].conf == {"a": "1"}
    error = resolution.unresolved[full("other")].error
    assert error.condition == "DUPLICATE_FLOW_SQL_CONF"
    assert "'a' is defined by both 'v' and 'spark_catalog.default.other'" in str(error)


def test_flows_that_contradict_each_other(pipelines: Pipelines) -> None:
    resolution = pipelines.resolve(
        """CREATE STREAMING TABLE t; CREATE FLOW f AS INSERT INTO t BY NAME SELECT 1 AS a FROM STREAM o.s;
        CREATE FLOW g AS INSERT INTO t BY NAME SELECT 'x' AS a FROM STREAM o.s;
        CREATE MATERIALIZED VIEW m AS SELECT * FROM t"""
    )
    assert resolution.unresolved[full("m")].error.condition == "CANNOT_MERGE_INCOMPATIBLE_DATA_TYPE"


def test_executables_read_tables_from_the_catalog_and_views_from_their_query(pipelines: Pipelines) -> None:
    resolution = pipelines.resolve(
        """CREATE STREAMING TABLE t AS SELECT id FROM STREAM outside.source;
        CREATE TEMPORARY VIEW v AS SELECT t.id + 1 AS id FROM STREAM t;
        CREATE STREAMING TABLE u AS SELECT id FROM STREAM v;
        CREATE MATERIALIZED VIEW m AS SELECT id FROM t"""
    )
    streaming = resolution.executable(resolution.flows[full("u")])
    (leaf,) = leaves(streaming)
    assert leaf.relation.read.named_table.unparsed_identifier == "`spark_catalog`.`default`.`t`"
    batch = resolution.executable(resolution.flows[full("m")])
    assert not is_streaming(batch)
    assert batch.with_relations.root.sql.query == "SELECT id FROM `spark_catalog`.`default`.`t`"


@pytest.mark.parametrize("text", ["SELECT * FROM STREAM o.missing", "SELECT * FROM STREAM("])
def test_errors_of_the_engine_and_of_the_text_are_the_flows_own(pipelines: Pipelines, text: str) -> None:
    graph = pipelines.graph("CREATE STREAMING TABLE t")
    graph.add_flow(Flow(full("t"), full("t"), pb.Relation(sql=pb.SQL(query=text)), SCOPE))
    assert list(pipelines.resolve_graph(graph).unresolved) == [full("t")]


def test_a_watermark_in_sql_does_not_keep_a_flow_from_being_understood(pipelines: Pipelines) -> None:
    resolution = pipelines.resolve(
        """CREATE MATERIALIZED VIEW m AS SELECT current_timestamp() AS ts;
        CREATE STREAMING TABLE t AS SELECT ts FROM STREAM m WATERMARK ts DELAY OF INTERVAL 10 MINUTES"""
    )
    assert resolution.definition.table(full("t")) is not None
    assert full("m") in resolution.flows
    assert resolution.flows[full("m")].schema.field("ts").type == pa.timestamp("us", tz="UTC")
