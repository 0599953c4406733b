"""What a request may not do that comes from a pipeline's definition file.

While a client imports a definition file, its requests carry a `PipelineAnalysisContext`; while it runs a query
function, that names the flow. A query function only describes a query: nothing in it may be analysed or run, for the
datasets it reads need not exist yet. Source: `PipelinesHandler`, `SparkConnectAnalyzeHandler`, asked of Spark 4.2.1.
"""

from __future__ import annotations

from collections.abc import Iterable

from google.protobuf.any_pb2 import Any as AnyMessage

from riacho.errors import AnalysisError
from riacho.protos import pb
from riacho.server.sql.plan_names import ALLOWED, plan_name
from riacho.server.sql.tokens import tokenize


def context_of(extensions: Iterable[AnyMessage]) -> pb.PipelineAnalysisContext | None:
    """The context among the extensions of a request's user context; None if it comes from elsewhere."""
    for extension in extensions:
        if extension.Is(pb.PipelineAnalysisContext.DESCRIPTOR):
            context = pb.PipelineAnalysisContext()
            extension.Unpack(context)
            return context
    return None


def check_analysis(extensions: Iterable[AnyMessage]) -> None:
    """Refuse an AnalyzePlan request of any kind inside a query function."""
    context = context_of(extensions)
    if context is not None and context.HasField("flow_name"):
        raise _attempted()


def check_execution(extensions: Iterable[AnyMessage], plan: pb.Plan) -> None:
    """Refuse an ExecutePlan request that runs something inside a query function, or changes something in a file.

    Raises ATTEMPT_ANALYSIS_IN_PIPELINE_QUERY_FUNCTION, UNSUPPORTED_PIPELINE_SPARK_SQL_COMMAND.
    """
    context = context_of(extensions)
    if context is None:
        return
    is_sql = plan.HasField("command") and plan.command.HasField("sql_command")
    if is_sql:
        _check_sql(plan.command.sql_command)
    elif context.HasField("flow_name") and not _is_definition(plan):
        raise _attempted()


def is_query_function(extensions: Iterable[AnyMessage]) -> bool:
    """Whether `spark.sql` is to answer with the relation itself, not looked at: it is called by a query function."""
    context = context_of(extensions)
    return context is not None and context.HasField("flow_name")


def _is_definition(plan: pb.Plan) -> bool:
    return plan.HasField("command") and plan.command.HasField("pipeline_command")


def _check_sql(command: pb.SqlCommand) -> None:
    name = plan_name(tokenize(_text(command)))
    if name is not None and name not in ALLOWED:
        raise AnalysisError.of(
            "UNSUPPORTED_PIPELINE_SPARK_SQL_COMMAND",
            f"'{name}' is not supported in spark.sql(\"...\") API in Spark Declarative Pipeline.",
            sql_state="0A000",
            command=name,
        )


def _text(command: pb.SqlCommand) -> str:
    """The SQL text of a command, wherever the client put it."""
    if not command.HasField("input"):
        return command.sql
    relation = command.input
    if relation.WhichOneof("rel_type") == "with_relations":
        relation = relation.with_relations.root
    return relation.sql.query


def _attempted() -> AnalysisError:
    return AnalysisError.of(
        "ATTEMPT_ANALYSIS_IN_PIPELINE_QUERY_FUNCTION",
        "Operations that trigger DataFrame analysis or execution are not allowed in pipeline query functions. Move "
        "code outside of the pipeline query function.",
        sql_state="0A000",
    )
