"""`session_window(ts, gap)`, which the engine does not know, as what each row alone says of it: [ts, ts + gap)."""

from __future__ import annotations

from riacho.protos import pb
from riacho.server.plan import build

NAME = "session_window"


def is_session_window(expression: pb.Expression) -> bool:
    """Whether an expression is a session window, under a name or not."""
    inner = expression.alias.expr if expression.HasField("alias") else expression
    return inner.HasField("unresolved_function") and inner.unresolved_function.function_name.lower() == NAME


def has_session_window(aggregate: pb.Aggregate) -> bool:
    return any(is_session_window(expression) for expression in aggregate.grouping_expressions)


def session_of_row(expression: pb.Expression, gap: pb.Expression) -> pb.Expression:
    """The struct of start and end that a row alone makes with this gap, under the name the session window had."""
    named = expression.alias.name[0] if expression.HasField("alias") else NAME
    inner = expression.alias.expr if expression.HasField("alias") else expression
    time = inner.unresolved_function.arguments[0]
    end = build.call("+", time, gap)
    return build.alias(build.call("named_struct", build.text("start"), time, build.text("end"), end), named)


def without_session_windows(node: pb.Relation) -> pb.Relation:
    """The node with session windows made structs of the right type, so that the engine can tell its columns."""
    if not any(is_session_window(e) for e in node.aggregate.grouping_expressions):
        return node
    for expression in node.aggregate.grouping_expressions:
        if is_session_window(expression):
            expression.CopyFrom(session_of_row(expression, build.duration(0)))
    return node
