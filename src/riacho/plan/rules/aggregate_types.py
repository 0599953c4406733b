"""Aggregate functions whose type the engine does not know, or has wrong → functions of the type that Spark gives them.

    before                                    after
    approx_count_distinct(x, 0.01)            count(x)
    percentile_approx(x, 0.5)                 max(x)
    percentile_approx(x, array(0.1, 0.9))     collect_list(x)
    try_avg(x)                                avg(x)

The plan so made can be analysed, not run: a streaming aggregation computes these functions itself (see
`streaming.state.partials`), from the plan before this rule.
"""

from __future__ import annotations

from collections.abc import Callable

from riacho.plan import build
from riacho.plan.context import Context
from riacho.plan.facts import is_streaming
from riacho.plan.sql_expressions import structured
from riacho.plan.walk import expressions, transform
from riacho.protos import pb

Function = pb.Expression.UnresolvedFunction


def aggregate_types(relation: pb.Relation, context: Context) -> pb.Relation:  # noqa: ARG001
    """Apply the rule."""
    return transform(relation, lambda node: with_known_types(node) if is_streaming(node) else node)


def with_known_types(node: pb.Relation) -> pb.Relation:
    """The node with such functions replaced, if it is an aggregate; columns keep their names."""
    if not node.HasField("aggregate"):
        return node
    for expression in node.aggregate.aggregate_expressions:
        _replace(expression)
    return node


def _replace(expression: pb.Expression) -> None:
    whole = expression if expression.HasField("expression_string") else None
    read = structured(expression)
    changed = False
    for found in [read, *expressions(read)]:
        stand_in = _STAND_INS.get(found.unresolved_function.function_name.lower())
        if stand_in is not None:
            found.CopyFrom(stand_in(found.unresolved_function))
            changed = True
    if changed and whole is not None:
        whole.CopyFrom(read)


def _count(function: Function) -> pb.Expression:
    return build.call("count", function.arguments[0])


def _average(function: Function) -> pb.Expression:
    return build.call("avg", function.arguments[0])


def _percentile(function: Function) -> pb.Expression:
    value, wanted = function.arguments[:2]
    several = wanted.literal.HasField("array") or wanted.unresolved_function.function_name.lower() == "array"
    return build.call("collect_list" if several else "max", value)


_STAND_INS: dict[str, Callable[[Function], pb.Expression]] = {
    "approx_count_distinct": _count,
    "approx_percentile": _percentile,
    "percentile_approx": _percentile,
    "try_avg": _average,
}
