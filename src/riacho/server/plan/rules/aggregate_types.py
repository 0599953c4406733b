"""Aggregate functions whose type the engine does not know, or has wrong → functions of the type that Spark gives them.

    before                                    after
    approx_count_distinct(x, 0.01)            count(x)
    percentile_approx(x, 0.5)                 max(x)
    percentile_approx(x, array(0.1, 0.9))     collect_list(x)
    try_avg(x)                                avg(x)
    rollup(k), cube(k), GROUPING SETS         GROUP BY k
    grouping(k), grouping_id()                0

The plan so made can be analysed, not run: a streaming aggregation computes these functions itself (see
`streaming.operators.partials`), from the plan before this rule.
"""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

from riacho.protos import pb
from riacho.server.plan import build
from riacho.server.plan.context import Context
from riacho.server.plan.facts import is_streaming
from riacho.server.plan.from_sql.expressions import structured
from riacho.server.plan.text import column_name
from riacho.server.plan.walk import expressions, transform

Function = pb.Expression.UnresolvedFunction

_ACCURACY = 10000
_WITHOUT_ACCURACY = 2

_GROUPING_SETS = (
    pb.Aggregate.GROUP_TYPE_ROLLUP,
    pb.Aggregate.GROUP_TYPE_CUBE,
    pb.Aggregate.GROUP_TYPE_GROUPING_SETS,
)


def aggregate_types(relation: pb.Relation, context: Context) -> pb.Relation:  # noqa: ARG001
    """Apply the rule."""
    return transform(relation, lambda node: with_known_types(node) if is_streaming(node) else node)


def with_known_types(node: pb.Relation) -> pb.Relation:
    """The node with such functions replaced, if it is an aggregate; columns keep their names."""
    if not node.HasField("aggregate"):
        return node
    if node.aggregate.group_type in _GROUPING_SETS:
        node.aggregate.group_type = pb.Aggregate.GROUP_TYPE_GROUPBY
        node.aggregate.ClearField("grouping_sets")
    for expression in node.aggregate.aggregate_expressions:
        original = pb.Expression()
        original.CopyFrom(expression)
        _replace(expression)
        if expression != original and not expression.HasField("alias"):
            expression.CopyFrom(build.alias(expression, _name(original)))
    return node


def _replace(expression: pb.Expression) -> None:
    for node in [expression, *expressions(expression)]:
        if node.HasField("expression_string"):
            read = structured(node, filters=True)
            if any(_stand_in(inside) for inside in [read, *expressions(read)]):
                node.CopyFrom(read)
                _replace(node)
        elif (make := _stand_in(node)) is not None:
            node.CopyFrom(make(node.unresolved_function))


def _name(expression: pb.Expression) -> str:
    """The name of the column that an expression without an alias makes: Spark's says what the default accuracy is."""
    read = structured(expression)
    function = read.unresolved_function
    name, arguments = function.function_name.lower(), function.arguments
    if name == "approx_count_distinct":
        del arguments[1:]
    elif name in ("approx_percentile", "percentile_approx") and len(arguments) == _WITHOUT_ACCURACY:
        arguments.append(build.integer(_ACCURACY))
    return column_name(read)


def _stand_in(expression: pb.Expression) -> Callable[[Function], pb.Expression] | None:
    return _STAND_INS.get(expression.unresolved_function.function_name.lower())


def _count(function: Function) -> pb.Expression:
    return build.call("count", function.arguments[0])


def _average(function: Function) -> pb.Expression:
    return build.call("avg", function.arguments[0])


def _grouping(function: Function) -> pb.Expression:  # noqa: ARG001
    return build.cast(build.integer(0), pa.int8())


def _grouping_id(function: Function) -> pb.Expression:  # noqa: ARG001
    return build.integer(0)


def _percentile(function: Function) -> pb.Expression:
    value, wanted = function.arguments[:2]
    several = wanted.literal.HasField("array") or wanted.unresolved_function.function_name.lower() == "array"
    return build.call("collect_list" if several else "max", value)


_STAND_INS: dict[str, Callable[[Function], pb.Expression]] = {
    "approx_count_distinct": _count,
    "approx_percentile": _percentile,
    "grouping": _grouping,
    "grouping_id": _grouping_id,
    "percentile_approx": _percentile,
    "try_avg": _average,
}
