from __future__ import annotations

import pytest
from google.protobuf.any_pb2 import Any as AnyMessage

from riacho.errors import AnalysisError
from riacho.protos import pb
from riacho.server.graph import context


def extension(flow: str | None = None) -> list[AnyMessage]:
    foreign, ours = AnyMessage(), AnyMessage()
    foreign.Pack(pb.Relation())
    ours.Pack(pb.PipelineAnalysisContext(dataflow_graph_id="g", flow_name=flow))
    return [foreign, ours]


def sql(text: str) -> pb.Plan:
    return pb.Plan(command=pb.Command(sql_command=pb.SqlCommand(input=pb.Relation(sql=pb.SQL(query=text)))))


RUN = pb.Plan(root=pb.Relation(range=pb.Range(end=1, step=1)))
DEFINE = pb.Plan(command=pb.Command(pipeline_command=pb.PipelineCommand()))


def test_requests_from_elsewhere_are_free() -> None:
    context.check_execution([], sql("DROP TABLE t"))
    context.check_execution([], RUN)
    context.check_analysis([])
    assert not context.is_query_function([])


def test_a_definition_file_may_look_and_run() -> None:
    context.check_analysis(extension())
    context.check_execution(extension(), RUN)
    assert not context.is_query_function(extension())


def test_a_query_function_may_not() -> None:
    inside = extension(flow="f")
    with pytest.raises(AnalysisError, match="ATTEMPT_ANALYSIS_IN_PIPELINE_QUERY_FUNCTION"):
        context.check_analysis(inside)
    with pytest.raises(AnalysisError, match="ATTEMPT_ANALYSIS_IN_PIPELINE_QUERY_FUNCTION"):
        context.check_execution(inside, RUN)
    context.check_execution(inside, DEFINE)
    context.check_execution(inside, sql("SELECT * FROM nowhere"))
    assert context.is_query_function(inside)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1",
        "-- c\n(SELECT 1)",
        "WITH a AS (SELECT 1) SELECT * FROM a",
        "SHOW TABLES",
        "SHOW FUNCTIONS",
        "DESCRIBE t",
        "DESC EXTENDED t",
        "SHOW CREATE TABLE t",
    ],
)
def test_statements_that_only_look(text: str) -> None:
    context.check_execution(extension(), sql(text))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("create table zz as select 1", "CreateTableAsSelect"),
        ("insert into t values (4)", "InsertIntoStatement"),
        ("set a=b", "SetCommand"),
        ("use default", "SetCatalogAndNamespace"),
        ("create temporary view q as select 1", "CreateViewCommand"),
        ("drop table t", "DropTable"),
        ("explain select 1", "ExplainCommand"),
        ("describe function abs", "DescribeFunction"),
        ("refresh table t", "RefreshTable"),
        ("cache table t", "CacheTable"),
        ("desc database default", "DescribeNamespace"),
        ("show partitions t", "ShowPartitions"),
    ],
)
def test_statements_that_do_more(text: str, name: str) -> None:
    for extensions in (extension(), extension(flow="f")):
        with pytest.raises(AnalysisError) as caught:
            context.check_execution(extensions, sql(text))
        assert str(caught.value) == (
            f"[UNSUPPORTED_PIPELINE_SPARK_SQL_COMMAND] '{name}' is not supported in spark.sql(\"...\") API in Spark "
            "Declarative Pipeline. SQLSTATE: 0A000"
        )
