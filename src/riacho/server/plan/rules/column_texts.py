"""Columns and windows that are written as text → the messages that the DataFrame API makes of them.

    before                                       after
    Aggregate «window(ts, '5 minutes') AS w»     Aggregate window(ts, '5 minutes') AS w
      Project «*», «q.ts AS t»                     Project *, q.ts AS t
        Read (streaming)                             Read (streaming)

Whoever looks for the key with event time, or for a column that only passes, need not read text then. All other text is
left to the engine.
"""

from __future__ import annotations

from collections.abc import MutableSequence

from riacho.protos import pb
from riacho.server.plan.context import Context
from riacho.server.plan.event_time import WINDOW_FUNCTIONS
from riacho.server.plan.facts import is_streaming
from riacho.server.plan.from_sql.expressions import structured
from riacho.server.plan.walk import transform


def column_texts(relation: pb.Relation, context: Context) -> pb.Relation:  # noqa: ARG001
    """Apply the rule, to what streams."""

    def change(node: pb.Relation) -> pb.Relation:
        columns: MutableSequence[pb.Expression]
        match node.WhichOneof("rel_type"):
            case "project":
                columns = node.project.expressions
            case "aggregate":
                columns = node.aggregate.grouping_expressions
            case _:
                return node
        if any(column.HasField("expression_string") for column in columns) and is_streaming(node):
            for column in columns:
                read = structured(column)
                if read is not column and _is_column(read):
                    column.CopyFrom(read)
        return node

    return transform(relation, change)


def _is_column(expression: pb.Expression) -> bool:
    """Whether an expression is nothing but a column, a star, or a window, under a name or not."""
    inner = expression.alias.expr if expression.HasField("alias") else expression
    if inner.HasField("unresolved_function"):
        return inner.unresolved_function.function_name.lower() in WINDOW_FUNCTIONS
    return inner.WhichOneof("expr_type") in ("unresolved_attribute", "unresolved_star")
