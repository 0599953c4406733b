"""Checks of single nodes, by the kind of node. The order within each is Spark's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise

from riacho.protos import pb
from riacho.server.plan.checks.joins import check_join
from riacho.server.plan.checks.query import Query, is_aggregate
from riacho.server.plan.checks.refusal import refuse
from riacho.server.plan.facts import is_streaming
from riacho.server.plan.from_sql.expressions import structured
from riacho.server.plan.walk import expressions, walk
from riacho.server.sql.tokens import tokenize


def _aggregate(query: Query, node: pb.Relation) -> None:  # noqa: ARG001
    aggregates = [*node.aggregate.aggregate_expressions]
    read = [structured(top, filters=True) for top in aggregates]
    inside = [e for top in read for e in [top, *expressions(top)]]
    if is_streaming(node) and any(map(_is_distinct, inside)):
        raise refuse(
            "Distinct aggregations are not supported on streaming DataFrames/Datasets. Consider using "
            "approx_count_distinct() instead.",
            node,
        )


def _is_distinct(expression: pb.Expression) -> bool:
    if expression.HasField("expression_string"):  # text that is not understood
        words = [token.text.upper() for token in tokenize(expression.expression_string.expression)]
        return any(pair == ("(", "DISTINCT") for pair in pairwise(words))
    function = expression.unresolved_function
    return expression.HasField("unresolved_function") and (
        function.is_distinct or function.function_name.lower() in ("count_distinct", "sum_distinct")
    )


def _apply_in_pandas_with_state(query: Query, node: pb.Relation) -> None:
    if not is_streaming(node):
        return
    own = node.apply_in_pandas_with_state
    own_mode = own.output_mode.lower()
    what = f"applyInPandasWithState in {own_mode} mode is not supported"
    if not query.aggregates:
        if own_mode != query.mode:
            raise refuse(f"{what} with {query.mode.capitalize()} output mode on a streaming DataFrame/Dataset", node)
    elif own_mode == "update":
        raise refuse(f"{what} with aggregation on a streaming DataFrame/Dataset", node)
    elif any(is_aggregate(below) and is_streaming(below) for below in walk(node)):
        raise refuse(f"{what} after aggregation on a streaming DataFrame/Dataset", node)
    if own.timeout_conf == "EventTimeTimeout" and not query.marks(own.input):
        raise refuse(
            "Watermark must be specified in the query using '[Dataset/DataFrame].withWatermark()' for using event-time "
            "timeout in a applyInPandasWithState. Event-time timeout not supported without watermark.",
            query.plan,
        )


def _deduplicate(query: Query, node: pb.Relation) -> None:
    if not (node.deduplicate.within_watermark and is_streaming(node)):
        return
    if not query.marks(node.deduplicate.input):
        raise refuse(
            "dropDuplicatesWithinWatermark is not supported on streaming DataFrames/DataSets without watermark",
            query.plan,
        )


def _set_op(query: Query, node: pb.Relation) -> None:  # noqa: ARG001
    left, right = is_streaming(node.set_op.left_input), is_streaming(node.set_op.right_input)
    match node.set_op.set_op_type:
        case pb.SetOperation.SET_OP_TYPE_UNION if left != right:
            raise refuse("Union between streaming and batch DataFrames/Datasets is not supported", node)
        case pb.SetOperation.SET_OP_TYPE_EXCEPT if right:
            raise refuse("Except on a streaming DataFrame/Dataset on the right is not supported", node)
        case pb.SetOperation.SET_OP_TYPE_INTERSECT if left or right:
            raise refuse("Intersect of streaming DataFrames/Datasets is not supported", node)


def _limit(query: Query, node: pb.Relation) -> None:
    if query.mode == "update" and is_streaming(node):
        raise refuse("Limits are not supported on streaming DataFrames/Datasets in Update output mode", node)


def _offset(query: Query, node: pb.Relation) -> None:  # noqa: ARG001
    raise refuse("Offset is not supported on streaming DataFrames/Datasets", node)


def _sort(query: Query, node: pb.Relation) -> None:
    complete = query.mode == "complete" and any(is_aggregate(below) and is_streaming(below) for below in walk(node))
    if is_streaming(node) and not complete:
        raise refuse(
            "Sorting is not supported on streaming DataFrames/Datasets, unless it is on aggregated DataFrame/Dataset "
            "in Complete output mode",
            node,
        )


def _sample(query: Query, node: pb.Relation) -> None:  # noqa: ARG001
    if is_streaming(node):
        raise refuse("Sampling is not supported on streaming DataFrames/Datasets", node)


NODE_CHECKS: Mapping[str, Callable[[Query, pb.Relation], None]] = {
    "aggregate": _aggregate,
    "apply_in_pandas_with_state": _apply_in_pandas_with_state,
    "deduplicate": _deduplicate,
    "join": check_join,
    "limit": _limit,
    "offset": _offset,
    "sample": _sample,
    "sample_by": _sample,
    "set_op": _set_op,
    "sort": _sort,
}
