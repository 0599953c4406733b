"""Rewrites plans for the engine."""

from __future__ import annotations

import re

from riacho.protos import pb
from riacho.server.engine.sail.dialect import lambdas
from riacho.server.engine.sail.dialect.avro import NEEDS_TYPES
from riacho.server.engine.sail.dialect.functions import (
    AGGREGATES,
    FUNCTIONS,
    LISTS,
    NAMED,
    has_cast,
    named_apart,
    not_over_rows,
    without_nulls,
)
from riacho.server.engine.sail.dialect.statistics import KINDS, TAGS, in_order
from riacho.server.engine.sail.dialect.text import SUSPECTS
from riacho.server.engine.sail.dialect.text import in_engine_words as text_in_engine_words
from riacho.server.plan import build
from riacho.server.plan.facts import is_streaming
from riacho.server.plan.from_sql.select_items import Role
from riacho.server.plan.text import column_name
from riacho.server.plan.walk import (
    expressions,
    top_expressions,
    transform,
    transform_expression,
    transform_expressions,
    walk,
)

_NAMES = "|".join(sorted({*FUNCTIONS, *LISTS, *NAMED}))
_TAGS = b"|".join(re.escape(bytes([tag & 0x7F | 0x80, tag >> 7])) for tag in TAGS)
# In the bytes of a plan, the tag of its field and its length precede the name of a function.
_SUSPECTS = re.compile(rf"\n.(?:{_NAMES})\b|{SUSPECTS}|".encode() + _TAGS, re.DOTALL)
_LONGEST = 1 << 20
"""The largest plan, in bytes, that is searched in serialized form: a longer one contains rows."""

_NAMED_BY_EXPRESSION = ("project", "aggregate")


def in_engine_words(relation: pb.Relation) -> pb.Relation:
    """`relation` rewritten for the engine; the same object if nothing has to change.

    Columns keep their names. Raises UnsupportedOperationError for a function whose results would be wrong.
    """
    if relation.ByteSize() <= _LONGEST and _SUSPECTS.search(relation.SerializeToString().lower()) is None:
        return relation
    if not any(_may_change(node) for node in walk(relation)):
        return relation
    return transform(relation, _changed)


def _may_change(node: pb.Relation) -> bool:
    return node.WhichOneof("rel_type") in ("sql", *KINDS) or any(map(_is_suspect, expressions(node)))


def _is_suspect(expression: pb.Expression) -> bool:
    if expression.HasField("window"):
        return _name(expression.window.window_function) in LISTS
    name = _name(expression)
    return (
        expression.WhichOneof("expr_type") in ("expression_string", "lambda_function")
        or name in FUNCTIONS
        or (name in NAMED and _is_of_cast(expression))
    )


def _is_of_cast(expression: pb.Expression) -> bool:
    """Whether it calls a function with an argument that contains a cast."""
    return any(map(has_cast, _arguments(expression)))


def _changed(node: pb.Relation) -> pb.Relation:
    """The node, modified in place."""
    if node.HasField("sql"):
        node.sql.query = text_in_engine_words(node.sql.query)
        return node
    if node.WhichOneof("rel_type") in KINDS:
        return in_order(node)
    change = _TreeChange(node)
    if node.HasField("aggregate"):
        inside = _TreeChange(node, aggregates=not is_streaming(node), in_aggregate=True)
        for column in node.aggregate.aggregate_expressions:
            inside.column(column)
        for column in node.aggregate.grouping_expressions:
            change.column(column)
    elif node.WhichOneof("rel_type") in _NAMED_BY_EXPRESSION:
        for column in top_expressions(node):
            change.column(column)
    else:
        transform_expressions(node, change)
    return node


class _TreeChange:
    """Rewrites each expression of `node`.

    `aggregates`: whether to rewrite aggregate functions too. `in_aggregate`: whether the expressions are those of an
    aggregation.
    """

    def __init__(self, node: pb.Relation, *, aggregates: bool = True, in_aggregate: bool = False) -> None:
        self._node = node
        self._aggregates = aggregates
        self._in_aggregate = in_aggregate

    def column(self, column: pb.Expression) -> None:
        """Change a column in place. If it is named after an expression that changes, it keeps its name explicitly."""
        if column.HasField("expression_string"):
            self._text(column.expression_string, "column")
            return
        changed = transform_expression(column, self)
        if changed != column:
            column.CopyFrom(changed if column.HasField("alias") else build.alias(changed, column_name(column)))

    def __call__(self, expression: pb.Expression) -> pb.Expression:
        """Change an expression whose parts have been changed already."""
        if expression.HasField("expression_string"):
            self._text(expression.expression_string, "part")
            return expression
        if expression.HasField("window"):
            return self._over_rows(expression)
        name = _name(expression)
        if name in NAMED and self._aggregates and expression.HasField("unresolved_function"):
            for argument in filter(has_cast, expression.unresolved_function.arguments):
                argument.CopyFrom(named_apart(argument))
            return expression
        entry = FUNCTIONS.get(name)
        if entry is None or (name in AGGREGATES and not self._aggregates):
            return expression
        if name in lambdas.NAMES and self._in_aggregate:
            return expression
        if name in NEEDS_TYPES and is_streaming(self._node):
            return expression
        changed = entry(_arguments(expression))
        if changed is None:
            return expression
        return lambdas.bare(changed) if self._in_aggregate else changed

    def _text(self, text: pb.Expression.ExpressionString, role: Role) -> None:
        lower = text.expression.lower()
        streams = any(name in lower for name in NEEDS_TYPES) and is_streaming(self._node)
        text.expression = text_in_engine_words(
            text.expression, role, aggregates=self._aggregates, in_aggregate=self._in_aggregate, streams=streams
        )

    def _over_rows(self, expression: pb.Expression) -> pb.Expression:
        """A function over a window of rows. Its parts have been changed already: an aggregate is now a `get`."""
        function = expression.window.window_function
        if _name(function) == "get" and self._aggregates:
            raise not_over_rows("percentile_approx")
        return without_nulls(expression) if _name(function) in LISTS else expression


def _name(expression: pb.Expression) -> str:
    """The lower-case name of the function that an expression calls."""
    kind = expression.WhichOneof("expr_type")
    if kind not in ("unresolved_function", "call_function"):
        return ""
    name: str = getattr(expression, kind).function_name
    return name.lower()


def _arguments(expression: pb.Expression) -> list[pb.Expression]:
    if expression.HasField("unresolved_function"):
        return list(expression.unresolved_function.arguments)
    return list(expression.call_function.arguments)
