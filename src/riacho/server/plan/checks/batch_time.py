"""Where the batch's time may not be asked for.

In each batch Spark puts its time for `current_timestamp()` and the like, as an expression that counts as not
deterministic; so the query fails where such a one is not allowed. (`now()` is not among them, and allowed.) Here it is
refused at the start. Source: `CurrentBatchTimestamp`, `CheckAnalysis`.
"""

from __future__ import annotations

from collections.abc import Iterator

from riacho.errors import AnalysisError, UnsupportedOperationError
from riacho.protos import pb
from riacho.server.plan.facts import is_streaming
from riacho.server.plan.from_sql.expressions import structured
from riacho.server.plan.from_sql.grouping import AGGREGATES
from riacho.server.plan.rules.batch_time import time_calls, time_function
from riacho.server.plan.text import column_name
from riacho.server.plan.walk import expressions, walk

_ALLOWED = "now"
_AS_SHOWN = {
    "unix_timestamp()": "unix_timestamp(current_batch_timestamp(), yyyy-MM-dd HH:mm:ss)",
    **{f"{name}()": "current_batch_timestamp()" for name in ("current_timestamp", "current_date", "localtimestamp")},
    "curdate()": "current_batch_timestamp()",
}
"""Calls, and what Spark's messages show of them."""


def check_batch_time(relation: pb.Relation) -> None:
    """Raises AnalysisError if a streaming plan asks for the time in the arguments of an aggregate function or in the
    condition of a join, UnsupportedOperationError for the time in SQL text that riacho does not take apart.
    """
    for node in walk(relation):
        if not is_streaming(node):
            continue
        if node.HasField("join"):
            _check_join(structured(node.join.join_condition))
        elif node.HasField("aggregate"):
            for expression in node.aggregate.aggregate_expressions:
                _check_aggregate(structured(expression))


def _check_join(condition: pb.Expression) -> None:
    if any(_asks(expression) for expression in _all(condition)):
        shown = f'"{_shown(condition)}"'
        raise AnalysisError.of(
            "INVALID_NON_DETERMINISTIC_EXPRESSIONS",
            f"The operator expects a deterministic expression, but the actual expression is {shown}.",
            sql_state="42K0E",
            sqlExprs=shown,
        )


def _check_aggregate(column: pb.Expression) -> None:
    for expression in _all(column):
        function = expression.unresolved_function
        arguments = [inner for argument in function.arguments for inner in _all(argument)]
        if function.function_name.lower() in AGGREGATES and any(_asks(inner) for inner in arguments):
            shown = f'"{_shown(expression)}"'
            raise AnalysisError.of(
                "AGGREGATE_FUNCTION_WITH_NONDETERMINISTIC_EXPRESSION",
                f"Non-deterministic expression {shown} should not appear in the arguments of an aggregate function.",
                sql_state="42845",
                sqlExpr=shown,
            )
        if expression.HasField("expression_string") and _asks(expression):
            raise UnsupportedOperationError(
                f"riacho cannot tell whether the time in '{expression.expression_string.expression}' is that of the "
                "batch in which a row arrives or of the batch in which the result is emitted. Put the time in a column "
                "before the aggregation."
            )


def _all(expression: pb.Expression) -> Iterator[pb.Expression]:
    yield expression
    yield from expressions(expression)


def _asks(expression: pb.Expression) -> bool:
    """Whether this is a call that Spark puts the batch's time for, or text with one."""
    if expression.HasField("expression_string"):
        return any(name != _ALLOWED for _, name in time_calls(expression.expression_string.expression))
    return (time_function(expression) or _ALLOWED) != _ALLOWED


def _shown(expression: pb.Expression) -> str:
    text = column_name(expression)
    for call, shown in _AS_SHOWN.items():
        text = text.replace(call, shown)
    return text
