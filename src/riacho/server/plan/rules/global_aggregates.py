"""A projection of a stream that aggregates → an aggregation without keys.

    before                    after
    Project count(1)          Aggregate count(1)
      Read (streaming)          Read (streaming)

`df.select(F.count("*"))` reads like a projection but has one row for all of the input. Over a stream that row is kept
between batches; run as it stands, each batch would give a row of its own. Source: Spark's `GlobalAggregates`.
"""

from __future__ import annotations

from riacho.protos import pb
from riacho.server.plan.context import Context
from riacho.server.plan.facts import is_streaming
from riacho.server.plan.from_sql.grouping import AGGREGATES, has_aggregate
from riacho.server.plan.walk import expressions, transform
from riacho.server.sql.tokens import tokenize

GROUPED_UDFS = frozenset({202, 215, 216, 252, 253})
"""Evaluation types of Python functions that take a group (`PythonEvalType.SQL_GROUPED_AGG_*`)."""

_OF_DATAFRAMES = frozenset({"product"})
"""Aggregate functions that SQL does not have."""


def global_aggregates(relation: pb.Relation, context: Context) -> pb.Relation:  # noqa: ARG001
    """Apply the rule."""

    def change(node: pb.Relation) -> pb.Relation:
        columns = node.project.expressions
        if not any(map(_aggregates, columns)) or not is_streaming(node):
            return node
        changed = pb.Relation(
            aggregate=pb.Aggregate(
                input=node.project.input,
                group_type=pb.Aggregate.GROUP_TYPE_GROUPBY,
                aggregate_expressions=columns,
            )
        )
        if node.HasField("common"):
            changed.common.CopyFrom(node.common)
        return changed

    return transform(relation, change)


def _aggregates(column: pb.Expression) -> bool:
    """Whether an expression calls an aggregate function, but not over a window."""
    whole = [column, *expressions(column)]
    return any(map(is_aggregate, whole)) and not any(part.HasField("window") for part in whole)


def is_aggregate(part: pb.Expression) -> bool:
    """Whether this very expression, not those inside it, calls an aggregate function."""
    match part.WhichOneof("expr_type"):
        case "unresolved_function":
            return part.unresolved_function.function_name.lower() in AGGREGATES | _OF_DATAFRAMES
        case "call_function":
            return part.call_function.function_name.lower() in AGGREGATES
        case "expression_string":
            tokens = tokenize(part.expression_string.expression)
            return has_aggregate(tokens) and not any(token.text.lower() == "over" for token in tokens)
        case "common_inline_user_defined_function":
            return part.common_inline_user_defined_function.python_udf.eval_type in GROUPED_UDFS
        case _:
            return False
