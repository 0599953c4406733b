"""Which columns carry event time: what `withWatermark` marked, followed up the plan.

Spark keeps the mark in the metadata of an attribute, so it survives whatever passes the attribute on: selecting,
renaming, windows over it, grouping by it, joins, and being a field of a struct, from which it can be taken again. It is
lost in any other expression (`ts + interval 1 hour`), and where the column is asked for by a DataFrame from below the
watermark (`df.withWatermark("ts", …).select(df.ts)`). The mark decides what is late, what state may be dropped, and
which queries are allowed.

Here columns are known by name, without regard to case, as the client wrote them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from riacho.errors import SparkError
from riacho.identifiers import column_parts, last_part
from riacho.protos import pb
from riacho.server.plan.column_names import output_name
from riacho.server.plan.from_sql.expressions import structured
from riacho.server.plan.from_sql.query import columns_of_query
from riacho.server.plan.walk import children
from riacho.server.sql.pieces import UnknownSqlError

WINDOW_FUNCTIONS = frozenset({"window", "session_window", "window_time"})
"""Functions of a marked column whose result is marked."""

Delays = Mapping[str, str]
"""Marked columns, in lower case, to the text of their watermark's delay."""

ColumnNames = Callable[[pb.Relation], list[str]]
"""The names of a relation's columns, in order."""

_PASS_ON = frozenset(
    {"filter", "sort", "limit", "offset", "tail", "deduplicate", "repartition", "hint", "sample",
     "repartition_by_expression", "collect_metrics", "drop_na", "fill_na", "replace"}
)  # fmt: skip

_Qualifier = tuple[str, ...]
"""What may stand before a column: `q` in `q.ts`, or the parts of a table's name; () if nothing may."""

_BARE: frozenset[_Qualifier] = frozenset({()})


@dataclass(frozen=True)
class _Marked:
    """A column, or a field of one, that has a mark, or fields that have.

    `qualifiers`: what may stand before its name. `plan_ids`: the DataFrames by which it may be asked for.
    """

    name: str
    delay: str | None = None
    fields: tuple[_Marked, ...] = ()
    qualifiers: frozenset[_Qualifier] = _BARE
    plan_ids: frozenset[int] = frozenset()

    def named(self, name: str) -> _Marked:
        """The same as a new column."""
        return _Marked(name, self.delay, self.fields)

    def may_follow(self, qualifier: _Qualifier) -> bool:
        return any(known[len(known) - len(qualifier) :] == qualifier for known in self.qualifiers)


_Columns = tuple[_Marked, ...]


@dataclass(frozen=True)
class EventTimes:
    """Follows marks through plans. `columns` is asked where a plan names columns by position."""

    columns: ColumnNames

    def of(self, relation: pb.Relation) -> Delays:
        """The marked columns of a relation's output."""
        return {column.name: column.delay for column in self._marked(relation) if column.delay is not None}

    def _marked(self, relation: pb.Relation) -> _Columns:
        found = self._found(relation)
        if not found or not relation.common.HasField("plan_id"):
            return found
        own = relation.common.plan_id
        return tuple(replace(column, plan_ids=column.plan_ids | {own}) for column in found)

    def _found(self, relation: pb.Relation) -> _Columns:
        kind = relation.WhichOneof("rel_type") or ""
        if kind in _PASS_ON:
            [child] = children(relation)
            return self._marked(child)
        found = self._BY_KIND.get(kind)
        return found(self, getattr(relation, kind)) if found else ()

    def _project(self, node: pb.Project) -> _Columns:
        return _projected(node.expressions, self._marked(node.input))

    def _aggregate(self, node: pb.Aggregate) -> _Columns:
        below = self._marked(node.input)
        keys = [key for key in node.grouping_expressions if _is_key(key, below)]
        return _projected([*keys, *node.aggregate_expressions], below)

    def _unpivot(self, node: pb.Unpivot) -> _Columns:
        return _projected(node.ids, self._marked(node.input))

    def _to_schema(self, node: pb.ToSchema) -> _Columns:
        kept = {field.name.lower() for field in node.schema.struct.fields}
        return tuple(column for column in self._marked(node.input) if column.name in kept)

    def _set_op(self, node: pb.SetOperation) -> _Columns:
        return self._marked(node.left_input)

    def _subquery_alias(self, node: pb.SubqueryAlias) -> _Columns:
        alias = frozenset({(node.alias.lower(),)})
        return tuple(replace(column, qualifiers=alias) for column in self._marked(node.input))

    def _with_watermark(self, node: pb.WithWatermark) -> _Columns:
        name = last_part(node.event_time)
        # A second watermark takes the mark from the column of the first.
        below = [replace(column, delay=None) for column in self._marked(node.input) if column.name != name]
        mark = _Marked(name, node.delay_threshold, qualifiers=_qualifiers(node.input, name))
        return (*(column for column in below if column.fields), mark)

    def _with_columns(self, node: pb.WithColumns) -> _Columns:
        below = self._marked(node.input)
        names = {alias.name[0].lower() for alias in node.aliases}
        made = _projected([pb.Expression(alias=alias) for alias in node.aliases], below)
        # Spark Connect gives these columns metadata of their own, and so takes the mark off, but not off their fields.
        return (
            *(column for column in below if column.name not in names),
            *(replace(column, delay=None) for column in made if column.fields),
        )

    def _to_df(self, node: pb.ToDF) -> _Columns:
        below = self._marked(node.input)
        old = [name.lower() for name in self._names(node.input)] if below else []
        new = dict(zip(old, node.column_names, strict=False))
        return tuple(column.named(new[column.name].lower()) for column in below if column.name in new)

    def _with_columns_renamed(self, node: pb.WithColumnsRenamed) -> _Columns:
        names = {old.lower(): new.lower() for old, new in node.rename_columns_map.items()}
        names |= {rename.col_name.lower(): rename.new_col_name.lower() for rename in node.renames}
        below = self._marked(node.input)
        return tuple(column.named(names[column.name]) if column.name in names else column for column in below)

    def _drop(self, node: pb.Drop) -> _Columns:
        below = self._marked(node.input)
        names = {name.lower() for name in node.column_names}
        gone = {id(found[0]) for expression in node.columns for found in [_column(expression, below)] if found}
        return tuple(column for column in below if column.name not in names and id(column) not in gone)

    def _join(self, join: pb.Join) -> _Columns:
        left, right = self._marked(join.left), self._marked(join.right)
        using = {name.lower() for name in join.using_columns}
        match join.join_type:
            case pb.Join.JOIN_TYPE_LEFT_SEMI | pb.Join.JOIN_TYPE_LEFT_ANTI:
                return left
            case pb.Join.JOIN_TYPE_FULL_OUTER:
                return (*_but(right, using), *_but(left, using))
            case pb.Join.JOIN_TYPE_RIGHT_OUTER:
                return (*right, *_but(left, using))
            case _:
                return (*_but(right, using), *left)

    def _with_relations(self, node: pb.WithRelations) -> _Columns:
        """What a query says of the relations beside it, if it is SQL text that is understood."""
        if not node.root.HasField("sql"):
            return self._marked(node.root)
        beside = {each.subquery_alias.alias: each.subquery_alias.input for each in node.references}
        if not any(map(self._marked, beside.values())):
            return ()
        try:
            query = columns_of_query(node.root.sql.query, beside)
            query.common.CopyFrom(node.root.common)
            return self._marked(query)
        except (UnknownSqlError, SparkError):
            return ()

    _BY_KIND: ClassVar[dict[str, Callable[[EventTimes, Any], _Columns]]] = {
        "with_watermark": _with_watermark,
        "project": _project,
        "aggregate": _aggregate,
        "with_columns": _with_columns,
        "with_columns_renamed": _with_columns_renamed,
        "to_df": _to_df,
        "to_schema": _to_schema,
        "unpivot": _unpivot,
        "drop": _drop,
        "join": _join,
        "set_op": _set_op,
        "subquery_alias": _subquery_alias,
        "with_relations": _with_relations,
    }

    def _names(self, relation: pb.Relation) -> Sequence[str]:
        """The names of a relation's columns; asked for only where the plan does not say them."""
        if relation.HasField("project"):
            made = [structured(expression) for expression in relation.project.expressions]
            if not any(e.WhichOneof("expr_type") in ("unresolved_star", "unresolved_regex") for e in made):
                return [output_name(expression) for expression in made]
        return self.columns(relation)


def _but(columns: _Columns, names: Iterable[str]) -> _Columns:
    return tuple(column for column in columns if column.name not in names)


def _projected(expressions: Iterable[pb.Expression], below: _Columns) -> _Columns:
    """The marked columns of a projection."""
    found: list[_Marked] = []
    for written in expressions:
        expression = structured(written)
        match expression.WhichOneof("expr_type"):
            case "unresolved_star":
                found += _star(expression.unresolved_star, below)
            case "unresolved_regex":
                found += _like(expression.unresolved_regex, below)
            case _:
                column = _column(expression, below)
                if column is None:
                    continue
                passed_on = expression.HasField("unresolved_attribute") and column[1]
                found.append(column[0] if passed_on else column[0].named(output_name(expression)))
    return tuple(found)


def _column(expression: pb.Expression, below: _Columns) -> tuple[_Marked, bool] | None:
    """What an expression passes on of marks, and whether it is just a column; None if there is nothing.

    A window of a column is a column as well: Spark puts it into one before it looks at what stands around it.
    """
    expression = structured(expression)
    match expression.WhichOneof("expr_type"):
        case "alias" if len(expression.alias.name) == 1:
            found = _column(expression.alias.expr, below)
            if found is None:
                return None
            if expression.alias.HasField("metadata"):  # in place of the mark
                return (replace(found[0], delay=None), False) if found[0].fields else None
            return found[0], False
        case "unresolved_attribute":
            return _resolved(expression.unresolved_attribute, below)
        case "unresolved_extract_value":
            extract = expression.unresolved_extract_value
            struct = _column(extract.child, below)
            name = extract.extraction.literal.string.lower()
            field = _field(struct[0].fields, name) if struct else None
            return (field, False) if field else None
        case "unresolved_function":
            function = expression.unresolved_function
            return _called(function.function_name.lower(), function.arguments, below)
        case "call_function":
            return _called(expression.call_function.function_name.lower(), expression.call_function.arguments, below)
        case _:
            return None


def _is_key(expression: pb.Expression, below: _Columns) -> bool:
    """Whether a grouping expression keeps its mark: it must be a column, under a name or not."""
    inner = structured(expression)
    found = _column(inner.alias.expr if inner.HasField("alias") else inner, below)
    return found is not None and found[1]


def _resolved(attribute: pb.Expression.UnresolvedAttribute, below: _Columns) -> tuple[_Marked, bool] | None:
    """The column of a name, or the field of one; the longest qualifier goes first, as in Spark."""
    if attribute.HasField("plan_id"):
        below = tuple(column for column in below if attribute.plan_id in column.plan_ids)
    parts = tuple(part.lower() for part in column_parts(attribute.unparsed_identifier))
    for at in range(len(parts) - 1, -1, -1):
        found = _field((column for column in below if column.may_follow(parts[:at])), parts[at])
        for name in parts[at + 1 :]:
            found = _field(found.fields, name) if found else None
        if found is not None:
            return found, at == len(parts) - 1
    return None


def _called(name: str, arguments: Sequence[pb.Expression], below: _Columns) -> tuple[_Marked, bool] | None:
    if name in WINDOW_FUNCTIONS and arguments:
        time = _column(arguments[0], below)
        is_column = time is not None and time[1] and time[0].delay is not None
        return (_Marked(name, time[0].delay), True) if time and is_column else None
    match name:
        case "struct":
            fields = _projected(arguments, below)
        case "named_struct":
            pairs = zip(arguments[::2], arguments[1::2], strict=False)
            named = ((key.literal.string.lower(), _column(value, below)) for key, value in pairs)
            fields = tuple(value[0].named(key) for key, value in named if value is not None)
        case _:
            return None
    return (_Marked(name, None, fields), False) if fields else None


def _star(star: pb.Expression.UnresolvedStar, below: _Columns) -> _Columns:
    """All columns, those of one relation (`q.*`), or the fields of a struct (`s.*`)."""
    if star.HasField("plan_id"):
        below = tuple(column for column in below if star.plan_id in column.plan_ids)
    target = tuple(part.lower() for part in column_parts(star.unparsed_target.removesuffix(".*")))
    if not target:
        return below
    qualified = tuple(column for column in below if column.may_follow(target))
    if qualified:
        return qualified
    attribute = pb.Expression.UnresolvedAttribute(unparsed_identifier=star.unparsed_target.removesuffix(".*"))
    struct = _resolved(attribute, below)
    return tuple(field.named(field.name) for field in struct[0].fields) if struct else ()


_QUOTED = re.compile(r"(?:(.+)\.)?`(.+)`", re.DOTALL)


def _like(column: pb.Expression.UnresolvedRegex, below: _Columns) -> _Columns:
    """``colRegex("`t.*`")``: the columns whose whole name is like that. Without backticks it is a column's name."""
    quoted = _QUOTED.fullmatch(column.col_name)
    if quoted is None:
        attribute = pb.Expression.UnresolvedAttribute(unparsed_identifier=column.col_name)
        found = _resolved(attribute, below)
        return (found[0],) if found else ()
    try:
        pattern = re.compile(quoted[2], re.IGNORECASE)
    except re.error:
        return ()
    qualifier = column_parts((quoted[1] or "").lower())
    return tuple(each for each in below if pattern.fullmatch(each.name) and each.may_follow(qualifier))


def _field(columns: Iterable[_Marked], name: str) -> _Marked | None:
    """The last of that name: where two sides of a join have it, the left one's."""
    found = [column for column in columns if column.name == name]
    return found[-1] if found else None


def _qualifiers(relation: pb.Relation, name: str) -> frozenset[_Qualifier]:
    """What may stand before a column of a relation."""
    kind = relation.WhichOneof("rel_type") or ""
    match kind:
        case "subquery_alias":
            return frozenset({(relation.subquery_alias.alias.lower(),)})
        case "read" if relation.read.HasField("named_table"):
            return frozenset({column_parts(relation.read.named_table.unparsed_identifier.lower())})
        case "project" | "aggregate":
            return _projected_qualifiers(relation, name)
        case "with_columns" if name not in {alias.name[0].lower() for alias in relation.with_columns.aliases}:
            return _qualifiers(relation.with_columns.input, name)
        case "join":
            return _qualifiers(relation.join.left, name) | _qualifiers(relation.join.right, name)
        case "set_op":
            return _qualifiers(relation.set_op.left_input, name)
        case "with_watermark" | "drop":
            return _qualifiers(getattr(relation, kind).input, name)
        case _ if kind in _PASS_ON:
            [child] = children(relation)
            return _qualifiers(child, name)
        case _:
            return _BARE


def _projected_qualifiers(relation: pb.Relation, name: str) -> frozenset[_Qualifier]:
    if relation.HasField("project"):
        made, below = relation.project.expressions, relation.project.input
    else:
        made, below = relation.aggregate.grouping_expressions, relation.aggregate.input
    found = [e for e in map(structured, made) if e.HasField("unresolved_star") or output_name(e) == name]
    if found and found[0].WhichOneof("expr_type") in ("unresolved_attribute", "unresolved_star"):
        return _qualifiers(below, name)
    return _BARE
