"""Which columns carry event time: what `withWatermark` marked, followed up the plan.

Spark keeps the mark in the metadata of an attribute, so it survives whatever passes the attribute on: selecting,
renaming, windows over it, grouping by it, joins. It is lost in any other expression (`ts + interval 1 hour`). The mark
decides what is late, what state may be dropped, and which queries are allowed.

Here columns are known by name, without regard to case, as the client wrote them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from riacho.plan.text import column_name
from riacho.plan.walk import children
from riacho.protos import pb

WINDOW_FUNCTIONS = frozenset({"window", "session_window", "window_time"})
"""Functions of a marked column whose result is marked."""

Delays = Mapping[str, str]
"""Marked columns, in lower case, to the text of their watermark's delay."""

ColumnNames = Callable[[pb.Relation], list[str]]
"""The names of a relation's columns, in order."""

_PASS_ON = frozenset(
    {"filter", "sort", "limit", "offset", "tail", "deduplicate", "subquery_alias", "repartition", "hint", "sample",
     "repartition_by_expression", "collect_metrics", "drop_na", "fill_na", "replace"}
)  # fmt: skip


@dataclass(frozen=True)
class EventTimes:
    """Follows marks through plans. `columns` is asked where a plan names columns by position."""

    columns: ColumnNames

    def of(self, relation: pb.Relation) -> Delays:
        """The marked columns of a relation's output."""
        kind = relation.WhichOneof("rel_type")
        match kind:
            case "with_watermark":
                # A second watermark takes the mark from the column of the first.
                return {last_part(relation.with_watermark.event_time): relation.with_watermark.delay_threshold}
            case "project":
                return self._projected(list(relation.project.expressions), self.of(relation.project.input))
            case "aggregate":
                return self._projected(list(relation.aggregate.grouping_expressions), self.of(relation.aggregate.input))
            case "with_columns":
                return self._replaced(relation.with_columns)
            case "with_columns_renamed":
                return self._renamed(relation.with_columns_renamed)
            case "to_df":
                return self._named(relation.to_df)
            case "drop":
                dropped = {name.lower() for name in relation.drop.column_names}
                dropped |= {column_name(expression).lower() for expression in relation.drop.columns}
                return {name: delay for name, delay in self.of(relation.drop.input).items() if name not in dropped}
            case "join":
                return self._joined(relation.join)
            case "set_op":
                return self.of(relation.set_op.left_input)
            case "with_relations":
                return self.of(relation.with_relations.root)
            case _ if kind in _PASS_ON:
                [child] = children(relation)
                return self.of(child)
            case _:
                return {}

    def _projected(self, expressions: list[pb.Expression], below: Delays) -> Delays:
        marked: dict[str, str] = {}
        for expression in expressions:
            if expression.WhichOneof("expr_type") == "unresolved_star":
                marked.update(below)
                continue
            delay = _delay(expression, below)
            if delay is not None:
                marked[output_name(expression)] = delay
        return marked

    def _replaced(self, node: pb.WithColumns) -> Delays:
        below = dict(self.of(node.input))
        for item in node.aliases:
            # Spark Connect gives these columns metadata of their own, and so takes the mark off.
            below.pop(item.name[0].lower(), None)
        return below

    def _named(self, node: pb.ToDF) -> Delays:
        below = self.of(node.input)
        old = self.columns(node.input) if below else []
        renames = zip(old, node.column_names, strict=False)
        return {new.lower(): below[name.lower()] for name, new in renames if name.lower() in below}

    def _renamed(self, node: pb.WithColumnsRenamed) -> Delays:
        names = {old.lower(): new.lower() for old, new in node.rename_columns_map.items()}
        names |= {rename.col_name.lower(): rename.new_col_name.lower() for rename in node.renames}
        return {names.get(name, name): delay for name, delay in self.of(node.input).items()}

    def _joined(self, join: pb.Join) -> Delays:
        left, right = self.of(join.left), self.of(join.right)
        if join.join_type in (pb.Join.JOIN_TYPE_LEFT_SEMI, pb.Join.JOIN_TYPE_LEFT_ANTI):
            return left
        using = {name.lower() for name in join.using_columns}
        if join.join_type == pb.Join.JOIN_TYPE_FULL_OUTER:
            left = {name: delay for name, delay in left.items() if name not in using}
            right = {name: delay for name, delay in right.items() if name not in using}
        elif join.join_type != pb.Join.JOIN_TYPE_RIGHT_OUTER:
            right = {name: delay for name, delay in right.items() if name not in using}
        else:
            left = {name: delay for name, delay in left.items() if name not in using}
        return {**right, **left}


def last_part(identifier: str) -> str:
    """The column that an unparsed identifier such as ``a.`b c` `` names, in lower case."""
    if identifier.endswith("`"):
        start = identifier.rfind("`", 0, -1)
        while start > 0 and identifier[start - 1] == "`":
            start = identifier.rfind("`", 0, start - 1)
        return identifier[start + 1 : -1].replace("``", "`").lower()
    return identifier.rsplit(".", 1)[-1].lower()


def output_name(expression: pb.Expression) -> str:
    """The name, in lower case, of the column that an expression makes in a projection."""
    match expression.WhichOneof("expr_type"):
        case "alias":
            return str(expression.alias.name[0]).lower()
        case "unresolved_attribute":
            return last_part(expression.unresolved_attribute.unparsed_identifier)
        case "unresolved_function" if expression.unresolved_function.function_name in {"window", "session_window"}:
            return str(expression.unresolved_function.function_name)
        case _:
            return column_name(expression).lower()


def _delay(expression: pb.Expression, below: Delays) -> str | None:
    """The delay of the mark that an expression passes on."""
    match expression.WhichOneof("expr_type"):
        case "alias":
            return _delay(expression.alias.expr, below)
        case "unresolved_attribute":
            return below.get(last_part(expression.unresolved_attribute.unparsed_identifier))
        case "unresolved_function":
            function = expression.unresolved_function
            if function.function_name.lower() in WINDOW_FUNCTIONS and function.arguments:
                return _delay(function.arguments[0], below)
            return None
        case "call_function":
            if expression.call_function.function_name.lower() in WINDOW_FUNCTIONS:
                return _delay(expression.call_function.arguments[0], below)
            return None
        case _:
            return None
