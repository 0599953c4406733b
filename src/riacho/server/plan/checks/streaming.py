"""What cannot be run as a stream. Source: `UnsupportedOperationChecker.checkForStreaming`.

First come the checks of the whole query, then those of each node, inputs before what is above them, then the search for
operators whose late output the next one would drop: in Spark's order, so that of several faults the same one is told.
"""

from __future__ import annotations

from collections.abc import Callable

from riacho.errors import AnalysisError
from riacho.protos import pb
from riacho.server.plan.checks.chains import check_chains as check_chains_of
from riacho.server.plan.checks.functions import check_expressions
from riacho.server.plan.checks.nodes import NODE_CHECKS
from riacho.server.plan.checks.query import Query
from riacho.server.plan.checks.refusal import refuse
from riacho.server.plan.facts import is_streaming
from riacho.server.plan.from_sql.expressions import structured


def check_streaming(
    relation: pb.Relation,
    output_mode: str,
    columns: Callable[[pb.Relation], list[str]],
    *,
    check_chains: bool = True,
) -> None:
    """Raises AnalysisError if a resolved plan cannot be run as a stream in this output mode; see `Query`."""
    query = Query(relation, output_mode.lower(), columns, check_chains)
    for check_query in _QUERY_CHECKS:
        check_query(query)
    for node in reversed(query.nodes):
        check_node = NODE_CHECKS.get(node.WhichOneof("rel_type") or "")
        if check_node is not None:
            check_node(query, node)
        check_expressions(node)
    if check_chains:
        check_chains_of(query)


def _is_stream(query: Query) -> None:
    if not is_streaming(query.plan):
        raise AnalysisError.of(
            "WRITE_STREAM_NOT_ALLOWED",
            "`writeStream` can be called only on streaming Dataset/DataFrame.",
            sql_state="42601",
        )


def _no_pivot_without_values(query: Query) -> None:
    for node in query.aggregates:
        if node.aggregate.HasField("pivot") and not node.aggregate.pivot.values:
            text = "pivot is not supported on a streaming DataFrames/Datasets"
            raise AnalysisError(text, condition="_LEGACY_ERROR_TEMP_3063")


def _one_apply_in_pandas_with_state(query: Query) -> None:
    kinds = [node.WhichOneof("rel_type") for node in query.nodes if is_streaming(node)]
    if kinds.count("apply_in_pandas_with_state") > 1:
        raise refuse(
            "Multiple applyInPandasWithStates are not supported on a streaming DataFrames/Datasets", query.plan
        )


def _output_mode(query: Query) -> None:
    top = query.aggregates[0] if query.aggregates else None
    match query.mode:
        case "append" if top is not None and not _has_event_time_key(query, top):
            raise _unsupported_mode(query, "streaming aggregations without watermark")
        case "update" if top is not None and any(map(_is_session_window, _keys(top))):
            raise _unsupported_mode(query, "session window streaming aggregations")
        case "complete" if top is None:
            raise _unsupported_mode(query, "no streaming aggregations")


def _unsupported_mode(query: Query, operation: str) -> AnalysisError:
    return AnalysisError.of(
        "STREAMING_OUTPUT_MODE.UNSUPPORTED_OPERATION",
        f"Invalid streaming output mode: {query.mode}. This output mode is not supported for {operation} on streaming "
        "DataFrames/DataSets.",
        sql_state="42KDE",
        outputMode=query.mode,
        operation=operation,
    )


_QUERY_CHECKS: tuple[Callable[[Query], None], ...] = (
    _is_stream,
    _no_pivot_without_values,
    _one_apply_in_pandas_with_state,
    _output_mode,
)


def _keys(aggregate: pb.Relation) -> list[pb.Expression]:
    """The grouping expressions, read from text where they are text."""
    if aggregate.WhichOneof("rel_type") != "aggregate":
        return []
    return [structured(key) for key in aggregate.aggregate.grouping_expressions]


def _has_event_time_key(query: Query, aggregate: pb.Relation) -> bool:
    match aggregate.WhichOneof("rel_type"):
        case "aggregate":
            keyed = pb.Aggregate(input=aggregate.aggregate.input, grouping_expressions=_keys(aggregate))
            return bool(query.marks(pb.Relation(aggregate=keyed)))
        case "set_op":
            return bool(query.marks(aggregate))  # all columns are keys
        case _:
            return False


def _is_session_window(key: pb.Expression) -> bool:
    if key.HasField("alias"):
        key = key.alias.expr
    return key.unresolved_function.function_name.lower() == "session_window"
