"""Finds the types in plans, and changes the plans as the rules say."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import pyarrow as pa

from riacho.errors import SparkError
from riacho.identifiers import column_parts
from riacho.protos import pb
from riacho.server.engine.sail.typed import clocks
from riacho.server.engine.sail.typed.arithmetic import MONTHS
from riacho.server.engine.sail.typed.expressions import ExpressionTyper
from riacho.server.engine.sail.typed.naming import WINDOWS, column_of, shown
from riacho.server.engine.sail.typed.queries import is_suspect, typed_query
from riacho.server.engine.sail.typed.rules import NAMES, may_change
from riacho.server.engine.sail.typed.scope import Scope
from riacho.server.engine.sail.typed.unions import widened
from riacho.server.plan import build
from riacho.server.plan.facts import is_streaming
from riacho.server.plan.text import column_name
from riacho.server.plan.walk import children, expressions, top_expressions, walk
from riacho.server.sql.select_lists import has_alias
from riacho.server.sql.tokens import tokenize
from riacho.server.sql.words import words
from riacho.zones import UTC, Zone

SchemaOf = Callable[[pb.Relation], pa.Schema]
"""The columns of a relation, including streams. Raises SparkError."""

_KEEP_COLUMNS = frozenset(
    words(
        "filter sort limit offset tail deduplicate with_watermark hint repartition repartition_by_expression "
        "sample collect_metrics subquery_alias"
    )
)
_NAMES = b"|".join(sorted(re.escape(name.encode()) for name in NAMES))
_SUSPECTS = re.compile(rb"\n[\x01-\x14](?:" + _NAMES + rb")(?![a-z_0-9])", re.DOTALL)
_LONGEST = 1 << 20


def typed_plan(relation: pb.Relation, schema_of: SchemaOf, zone: Zone = UTC) -> pb.Relation:
    """`relation` rewritten for the engine; the same object if nothing has to change. Raises AnalysisError.

    `zone`: the session's time zone.
    """
    with clocks.in_zone(zone):
        if not any(_may_change(node) for node in walk(relation)):
            return relation
        return _Plan(schema_of).changed(relation)


def _may_change(node: pb.Relation) -> bool:
    if node.HasField("sql"):
        return is_suspect(node.sql.query)
    if node.HasField("with_relations"):
        return node.with_relations.root.HasField("sql") and is_suspect(node.with_relations.root.sql.query)
    if node.WhichOneof("rel_type") in ("read", "local_relation", "range"):
        return False
    if node.HasField("set_op"):
        return True
    return any(_is_suspect(expression) for expression in expressions(node))


def _is_suspect(expression: pb.Expression) -> bool:
    match expression.WhichOneof("expr_type"):
        case "unresolved_function":
            return may_change(expression.unresolved_function.function_name.lower())
        case "call_function":
            return may_change(expression.call_function.function_name.lower())
        case "expression_string":
            return is_suspect(expression.expression_string.expression)
        case "cast":
            return True
        case _:
            return False


class _Plan:
    """One plan. Its nodes are changed from the leaves up, so that what a node reads can be analysed."""

    def __init__(self, schema_of: SchemaOf) -> None:
        self._schema_of = schema_of
        self._kinds: dict[int, pa.Schema | None] = {}
        self._kept: list[pb.Relation] = []  # so that no id is given twice
        self._roots: set[int] = set()
        """SQL texts with relations attached to them."""

    def changed(self, relation: pb.Relation) -> pb.Relation:
        result = pb.Relation()
        result.CopyFrom(relation)
        nodes = list(walk(result))
        self._roots = {id(node.with_relations.root) for node in nodes if node.HasField("with_relations")}
        for node in reversed(nodes):
            if _may_change(node):
                self._change(node)
        return result

    def _change(self, node: pb.Relation) -> None:
        if node.HasField("sql"):
            if id(node) not in self._roots:
                self._sql(node, node)
            return
        if node.HasField("with_relations"):
            if node.with_relations.root.HasField("sql"):
                self._sql(node, node.with_relations.root)
            return
        kind = node.WhichOneof("rel_type") or ""
        below = list(children(node))
        schemas = [self._schema(child) for child in below]
        if not below or any(schema is None for schema in schemas):
            return
        if node.HasField("set_op"):
            left, right = schemas
            self._union(node, left or pa.schema([]), right or pa.schema([]))
            return
        schema = pa.schema([field for found in schemas for field in found or ()])
        scope = Scope(schema)
        typer = ExpressionTyper(scope, lambda expression: self._ask(below, expression), streams=is_streaming(node))
        is_named = kind in ("project", "aggregate")
        made: list[tuple[str, pa.DataType | None]] = []
        for expression in top_expressions(node):
            value = typer.typed(expression)
            made.append((_column(expression), value.type))
            if value.expression is expression:
                continue
            new = value.expression
            if is_named and not new.HasField("alias") and not _named_by_itself(expression):
                new = build.alias(new, _name(expression, scope))
            expression.CopyFrom(new)
        self._note(node, schema, made)

    def _union(self, node: pb.Relation, left: pa.Schema, right: pa.Schema) -> None:
        columns = widened(node.set_op, left, right)
        if columns is not None:
            self._kept.append(node)
            self._kinds[id(node)] = columns

    def _note(self, node: pb.Relation, below: pa.Schema, made: Sequence[tuple[str, pa.DataType | None]]) -> None:
        """Remember the columns of a node if they follow from its input, so that the engine need not be asked."""
        if node.HasField("with_columns"):
            names = [alias.name[0] if alias.name else "" for alias in node.with_columns.aliases]
        elif node.HasField("project"):
            names = [name for name, _ in made]
        else:
            return
        fields = []
        for name, (_, kind) in zip(names, made, strict=True):
            if not name or kind is None or pa.types.is_duration(kind) or kind == MONTHS:
                return
            fields.append(pa.field(name, kind))
        if node.HasField("with_columns"):  # in any order
            new = {name.lower() for name in names}
            fields += [field for field in below if field.name.lower() not in new]
        self._kept.append(node)
        self._kinds[id(node)] = pa.schema(fields)

    def _sql(self, node: pb.Relation, query: pb.Relation) -> None:
        """The text in `query`, which is `node` itself or, if relations are attached, is inside `node`."""

        def schema_of(text: str) -> pa.Schema | None:
            asked = pb.Relation()
            asked.CopyFrom(node)
            (asked if query is node else asked.with_relations.root).sql.query = text
            return self._asked(asked)

        query.sql.query = typed_query(query.sql.query, schema_of, streams=is_streaming(node))

    def _ask(self, below: list[pb.Relation], expression: pb.Expression) -> pa.DataType | None:
        if len(below) != 1:
            return None
        schema = self._asked(build.project(below[0], [build.alias(expression, "x")]))
        return None if schema is None else schema[0].type

    def _schema(self, node: pb.Relation) -> pa.Schema | None:
        """The columns of a node that has been changed already."""
        while node.WhichOneof("rel_type") in _KEEP_COLUMNS:
            [node] = children(node)
        if id(node) not in self._kinds:
            self._kept.append(node)
            self._kinds[id(node)] = self._asked(node)
        return self._kinds[id(node)]

    def _asked(self, relation: pb.Relation) -> pa.Schema | None:
        try:
            return self._schema_of(relation)
        except SparkError:
            return None  # reported when the plan runs


def _column(expression: pb.Expression) -> str:
    """The name of a column that is plainly named; an empty text for others."""
    if expression.HasField("alias") and len(expression.alias.name) == 1:
        return expression.alias.name[0]
    if expression.HasField("unresolved_attribute"):
        parts = column_parts(expression.unresolved_attribute.unparsed_identifier)
        return parts[-1] if parts else ""
    return ""


def _named_by_itself(expression: pb.Expression) -> bool:
    if expression.HasField("expression_string"):
        return has_alias(tokenize(expression.expression_string.expression))
    return expression.WhichOneof("expr_type") in ("alias", "unresolved_attribute")


def _name(expression: pb.Expression, scope: Scope) -> str:
    """The name of the column that an expression without an alias produces."""
    if expression.HasField("expression_string"):
        return shown(expression.expression_string.expression, scope.has)
    if expression.cast.expr.HasField("unresolved_attribute"):
        parts = column_parts(expression.cast.expr.unresolved_attribute.unparsed_identifier)
        name = column_of(parts, scope.has)
        if name is not None:
            return name
    called = expression.unresolved_function.function_name
    return called if called in WINDOWS else column_name(expression)
