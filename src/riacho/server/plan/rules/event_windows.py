"""Windows that the engine does not know → what it does know.

    before                                   after
    window(w, '1 hour'), w a window          window(window_time(w), '1 hour')
    session_window(ts, '5 minutes')          named_struct('start', ts, 'end', ts + INTERVAL 5 MINUTES)

The struct has the type of a session, so that such a plan can be analysed; sessions are made by
`streaming.state.session`, which looks at the plan before this rule.
"""

from __future__ import annotations

from riacho.identifiers import last_part
from riacho.protos import pb
from riacho.server.plan import build
from riacho.server.plan.column_names import output_name
from riacho.server.plan.context import Context
from riacho.server.plan.session_window import without_session_windows
from riacho.server.plan.walk import expressions, top_expressions, transform, walk

_MAKERS = frozenset({"window", "session_window"})


def event_windows(relation: pb.Relation, context: Context) -> pb.Relation:  # noqa: ARG001
    """Apply the rule."""
    return transform(windows_of_windows(relation), without_session_windows)


def windows_of_windows(relation: pb.Relation) -> pb.Relation:
    """The plan with `window_time` between a window and the window it is made of."""
    names = {
        output_name(expression)
        for node in walk(relation)
        for expression in top_expressions(node)
        if _function(expression).function_name in _MAKERS
    }
    if not names:
        return relation

    def change(node: pb.Relation) -> pb.Relation:
        for expression in expressions(node):
            function = expression.unresolved_function
            if not expression.HasField("unresolved_function") or function.function_name != "window":
                continue
            time = function.arguments[0]
            is_column = time.HasField("unresolved_attribute")
            if is_column and last_part(time.unresolved_attribute.unparsed_identifier) in names:
                time.CopyFrom(build.call("window_time", time))
        return node

    return transform(relation, change)


def _function(expression: pb.Expression) -> pb.Expression.UnresolvedFunction:
    inner = expression.alias.expr if expression.HasField("alias") else expression
    return inner.unresolved_function
