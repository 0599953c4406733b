"""Filters go below the watermark where Spark's optimizer puts them, because that can be seen.

    before                            after
    Aggregate window(ts), count       Aggregate window(ts), count
      Filter v > 1                      Filter v > 1
        WithWatermark ts                  WithWatermark ts
          Read (streaming)                  Filter v > 1
                                              Read (streaming)

Rows that a filter takes out do not move the watermark if the filter stands below it, and Spark moves a filter there
unless it looks at the event time itself. In the same way a filter above an aggregation that only looks at its keys is
moved below it, and the groups it takes out never reach the state. Source: `PushPredicateThroughNonJoin`.

A join filters its sides as far as its type allows: by conditions on one side alone, by what may not be null for the
others to hold, and by what filters below the other side say of a key. Source: `PushPredicateThroughJoin`,
`InferFiltersFromConstraints`.

The filter above stays: a deterministic filter may be applied twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from riacho.identifiers import column_parts, last_part, quoted
from riacho.protos import pb
from riacho.server.plan.build import call, col, field_of, where
from riacho.server.plan.column_names import output_name
from riacho.server.plan.event_time import ColumnNames
from riacho.server.plan.facts import is_streaming
from riacho.server.plan.from_sql.expressions import conjuncts, structured
from riacho.server.plan.join_condition import Side, Sides, aliases, read_condition
from riacho.server.plan.rules.batch_time import time_function
from riacho.server.plan.walk import children, expressions, replace, transform, transform_expression, walk
from riacho.server.sql.tokens import tokenize
from riacho.server.sql.words import words

NOT_DETERMINISTIC = frozenset(
    {"rand", "random", "randn", "randstr", "uniform", "uuid", "shuffle", "monotonically_increasing_id",
     "spark_partition_id", "input_file_name"}
)  # fmt: skip
_MOVABLE = frozenset(
    {"unresolved_attribute", "literal", "cast", "alias", "unresolved_extract_value", "unresolved_named_lambda_variable"}
)
_OF_CONSTANTS = words(
    "INTERVAL YEAR YEARS MONTH MONTHS WEEK WEEKS DAY DAYS HOUR HOURS MINUTE MINUTES SECOND SECONDS MILLISECOND "
    "MILLISECONDS MICROSECOND MICROSECONDS TO NULL DATE TIMESTAMP TIMESTAMP_NTZ"
)
"""The words of intervals and other constants in text, which is left to the engine."""
_MOVABLE_TIMES = (None, "now")
"""For the other functions of the time Spark puts in the batch's, as an expression that it does not move."""
_TRANSPARENT = frozenset({"filter", "subquery_alias", "hint", "repartition", "sort"})

_STRICT = frozenset({"==", "=", "<", "<=", ">", ">=", "!=", "+", "-", "*"})
"""Functions that give null for a null argument."""
_BOTH = {pb.Join.JOIN_TYPE_INNER, pb.Join.JOIN_TYPE_LEFT_SEMI}
_FILTERED = {
    Side.LEFT: _BOTH | {pb.Join.JOIN_TYPE_RIGHT_OUTER},
    Side.RIGHT: _BOTH | {pb.Join.JOIN_TYPE_LEFT_OUTER, pb.Join.JOIN_TYPE_LEFT_ANTI},
}
"""The join types that let a side be filtered by the join's own condition."""
_PRESERVED = {
    Side.LEFT: _BOTH | {pb.Join.JOIN_TYPE_LEFT_OUTER, pb.Join.JOIN_TYPE_LEFT_ANTI},
    Side.RIGHT: {pb.Join.JOIN_TYPE_INNER, pb.Join.JOIN_TYPE_RIGHT_OUTER},
}
"""The join types that let a side be filtered by what stands above the join."""
_WITHOUT_NULLS: dict[Side, dict[pb.Join.JoinType.ValueType, pb.Join.JoinType.ValueType]] = {
    Side.LEFT: {
        pb.Join.JOIN_TYPE_RIGHT_OUTER: pb.Join.JOIN_TYPE_INNER,
        pb.Join.JOIN_TYPE_FULL_OUTER: pb.Join.JOIN_TYPE_LEFT_OUTER,
    },
    Side.RIGHT: {
        pb.Join.JOIN_TYPE_LEFT_OUTER: pb.Join.JOIN_TYPE_INNER,
        pb.Join.JOIN_TYPE_FULL_OUTER: pb.Join.JOIN_TYPE_RIGHT_OUTER,
    },
}
"""What an outer join becomes if rows that are all null on a side are not wanted."""

Names = dict[str, pb.Expression]
"""Columns a condition looks at, as it calls them in lower case, to what they are at some place below: attributes."""


@dataclass(frozen=True)
class _FilterPlace:
    """A relation that is to get a filter on top, and the names there."""

    relation: pb.Relation
    names: Names


def push_filters(relation: pb.Relation, columns: ColumnNames) -> pb.Relation:
    """Apply the rule; `relation` is left as it is. `columns`: the names of a relation's columns."""
    result = _into_joins(relation, columns)
    result = transform(result, lambda node: _filter_sides(node, columns) if node.HasField("join") else node)
    for node in reversed(list(walk(result))):
        if not is_streaming(node):
            continue
        for input_, condition in _conditions(node):
            condition = _with_fields(condition, input_, columns)  # noqa: PLW2901 - the same, in other words
            names = _names(condition)
            if names is None:
                continue
            for place in _places(input_, condition, names, columns):
                replace(place.relation, where(place.relation, _renamed(condition, place.names)))
    return result


def _into_joins(relation: pb.Relation, columns: ColumnNames) -> pb.Relation:
    """A copy in which filters on inner joins of streams are their conditions too: `FROM a, b WHERE a.k = b.k`."""
    result = pb.Relation()
    result.CopyFrom(relation)
    pending = [result]
    while pending:
        node = pending.pop()
        if node.HasField("filter"):
            below = node.filter.input
            while below.HasField("filter"):
                below = below.filter.input
            if _takes_conditions(below):
                for condition in conjuncts(node.filter.condition):
                    _put_into_join(below.join, condition, columns)
        pending += children(node)
    return result


def _takes_conditions(node: pb.Relation) -> bool:
    join = node.join
    if not node.HasField("join") or join.join_type != pb.Join.JOIN_TYPE_INNER or join.using_columns:
        return False
    return is_streaming(join.left) and is_streaming(join.right)


def _put_into_join(join: pb.Join, condition: pb.Expression, columns: ColumnNames) -> None:
    if not _is_movable(condition):
        return
    sides = Sides(join, columns)
    owners = {sides.of(e) for e in expressions(pb.Filter(condition=condition)) if e.HasField("unresolved_attribute")}
    if owners == {Side.LEFT, Side.RIGHT}:
        both = call("and", join.join_condition, condition) if join.HasField("join_condition") else condition
        join.join_condition.CopyFrom(both)
    elif len(owners) == 1 and None not in owners:
        relation = join.left if owners == {Side.LEFT} else join.right
        if relation.HasField("join") or relation.HasField("filter"):  # perhaps it is for a join there
            replace(relation, where(relation, condition))


def _conditions(node: pb.Relation) -> Iterator[tuple[pb.Relation, pb.Expression]]:
    """What must be true of the rows of a node's input, or they are dropped."""
    match node.WhichOneof("rel_type"):
        case "filter":
            for condition in conjuncts(structured(node.filter.condition)):
                yield node.filter.input, condition
        case "aggregate":
            for expression in node.aggregate.grouping_expressions:
                yield from ((node.aggregate.input, column) for column in _windowed(expression))
        case "project":
            for expression in node.project.expressions:
                yield from ((node.project.input, column) for column in _windowed(expression))


def _windowed(expression: pb.Expression) -> Iterator[pb.Expression]:
    """`window(ts, …)` drops the rows without a time."""
    inner = expression.alias.expr if expression.HasField("alias") else expression
    function = inner.unresolved_function
    if function.function_name in {"window", "session_window"} and function.arguments[0].HasField(
        "unresolved_attribute"
    ):
        yield call("isnotnull", function.arguments[0])


def _filter_sides(node: pb.Relation, columns: ColumnNames) -> pb.Relation:
    """A join whose sides are filtered by what its condition says of them."""
    join = node.join
    condition = read_condition(join, columns)
    sides = Sides(join, columns)
    parts = [part for key in condition.keys if not key.null_safe for part in (key.left, key.right)]
    if join.HasField("join_condition"):
        parts += [part for part in conjuncts(join.join_condition) if not _is_null_safe(part)]
    named = [
        key
        for key in condition.keys
        if not _is_field(key.left, join.left, columns) and not _is_field(key.right, join.right, columns)
    ]
    inferred = {
        Side.LEFT: [part for key in named for part in _said_of(key.right, join.right, key.left, columns)],
        Side.RIGHT: [part for key in named for part in _said_of(key.left, join.left, key.right, columns)],
    }
    for side, relation in ((Side.LEFT, join.left), (Side.RIGHT, join.right)):
        if not is_streaming(relation) or join.join_type not in _FILTERED[side]:
            continue
        using = {last_part(name) for name in join.using_columns}
        wanted: dict[bytes, pb.Expression] = {}
        for column in (column for part in parts for column in _not_null(part)):
            if sides.of(column) is side or last_part(column.unresolved_attribute.unparsed_identifier) in using:
                wanted[column.SerializeToString(deterministic=True)] = call("isnotnull", column)
        own = (part for part in condition.rest if sides.of(part) is side)
        for part in (*wanted.values(), *own, *inferred[side]):
            if _names(part) is not None:
                replace(relation, where(relation, part))
    return node


def _said_of(
    column: pb.Expression, node: pb.Relation, equal: pb.Expression, columns: ColumnNames
) -> Iterator[pb.Expression]:
    """What the filters in `node` say of one column alone, said of another that is equal to it."""
    if not (column.HasField("unresolved_attribute") and equal.HasField("unresolved_attribute")):
        return
    names: Names | None = {_name(column): column}
    while names is not None:
        kind = node.WhichOneof("rel_type") or ""
        if kind == "filter":
            for part in conjuncts(structured(node.filter.condition)):
                condition = _with_fields(part, node.filter.input, columns)
                if (_names(condition) or {}).keys() == _called(names):
                    yield _renamed(condition, dict.fromkeys(_called(names), equal))
        names = names if kind == "with_watermark" else _below(node, names, columns)
        node = getattr(node, kind).input if names is not None else node


def _is_null_safe(part: pb.Expression) -> bool:
    return part.unresolved_function.function_name == "<=>"


def _not_null(expression: pb.Expression) -> list[pb.Expression]:
    """The columns that may not be null if `expression` is to be true (or, inside, not null)."""
    expression = structured(expression)
    if expression.HasField("unresolved_attribute"):
        return [expression]
    if expression.unresolved_function.function_name == "isnotnull":
        [argument] = expression.unresolved_function.arguments
        return [argument] if argument.HasField("unresolved_attribute") else []
    function = expression.unresolved_function
    if function.function_name not in _STRICT:
        return []
    return [column for argument in function.arguments for column in _not_null(argument)]


def _places(node: pb.Relation, condition: pb.Expression, names: Names, columns: ColumnNames) -> list[_FilterPlace]:
    """Where a condition on these columns goes, below `node`. Outer joins on the way give up the rows it takes out."""
    kind = node.WhichOneof("rel_type") or ""
    match kind:
        case "with_watermark":
            if last_part(node.with_watermark.event_time) in _called(names):
                return []
            return [_FilterPlace(node.with_watermark.input, names)]
        case "aggregate":
            below = _through(list(node.aggregate.grouping_expressions), names, node.aggregate.input, columns)
            return [] if below is None else _at_or_below(node.aggregate.input, condition, below, columns)
        case "join":
            return _below_join(node, condition, names, columns)
    below = _below(node, names, columns)
    return [] if below is None else _places(getattr(node, kind).input, condition, below, columns)


def _below(node: pb.Relation, names: Names, columns: ColumnNames) -> Names | None:
    """What the columns are called in the input of a node that only passes rows on; None if it does not."""
    kind = node.WhichOneof("rel_type") or ""
    match kind:
        case "project":
            return _through(list(node.project.expressions), names, node.project.input, columns)
        case "with_columns":
            changed = {alias.name[0].lower() for alias in node.with_columns.aliases}
            return None if changed & _called(names) else names
        case "with_columns_renamed":
            return _unrenamed(node.with_columns_renamed, names)
        case _:
            return names if kind in _TRANSPARENT | {"drop"} else None


def _at_or_below(node: pb.Relation, condition: pb.Expression, names: Names, columns: ColumnNames) -> list[_FilterPlace]:
    """Here, or still further down if there is a watermark to pass."""
    return _places(node, condition, names, columns) or [_FilterPlace(node, names)]


def _below_join(node: pb.Relation, condition: pb.Expression, names: Names, columns: ColumnNames) -> list[_FilterPlace]:
    """On the side that has all the columns, if filtering it first gives the same rows."""
    join = node.join
    side: Side | None
    if _called(names) <= {last_part(name) for name in join.using_columns}:
        side = Side.RIGHT if join.join_type == pb.Join.JOIN_TYPE_RIGHT_OUTER else Side.LEFT
    else:
        sides = Sides(join, columns)
        owners = {sides.of(column) for column in names.values()}
        side = next(iter(owners)) if len(owners) == 1 else None
        if side is not None and _not_null(condition):
            _narrow(node, side, columns)
    if side is None or join.join_type not in _PRESERVED[side]:
        return []
    relation = join.left if side is Side.LEFT else join.right
    return _at_or_below(relation, condition, names, columns) if is_streaming(relation) else []


def _narrow(node: pb.Relation, side: Side, columns: ColumnNames) -> None:
    """Rows without a partner on `side` are taken out above: an outer join need not give them. Source:
    `EliminateOuterJoin`.
    """
    narrower = _WITHOUT_NULLS[side].get(node.join.join_type)
    if narrower is not None:
        node.join.join_type = narrower
        _filter_sides(node, columns)


def _through(projected: list[pb.Expression], names: Names, input_: pb.Relation, columns: ColumnNames) -> Names | None:
    """What the columns are called below a projection of `input_`; None if one of them is computed there."""
    sources: Names = {}
    star = False
    for expression in projected:
        if expression.HasField("unresolved_star"):
            star = True
            continue
        sources[output_name(expression)] = expression.alias.expr if expression.HasField("alias") else expression
    found = {}
    for called, column in names.items():
        name = _name(column)
        source = sources.get(name, column if star else None)
        if source is None or not source.HasField("unresolved_attribute") or _is_field(source, input_, columns):
            return None
        found[called] = source
    return found


def _unrenamed(node: pb.WithColumnsRenamed, names: Names) -> Names | None:
    old = {new.lower(): before.lower() for before, new in node.rename_columns_map.items()}
    old |= {rename.new_col_name.lower(): rename.col_name.lower() for rename in node.renames}
    return {called: col(old[_name(column)]) if _name(column) in old else column for called, column in names.items()}


def _name(column: pb.Expression) -> str:
    return last_part(column.unresolved_attribute.unparsed_identifier)


def _is_field(column: pb.Expression, relation: pb.Relation, columns: ColumnNames) -> bool:
    """Whether a name with dots means a field of a struct in `relation`, and not a column with its table before it."""
    return _field(column, relation, columns) is not None


def _field(column: pb.Expression, relation: pb.Relation, columns: ColumnNames) -> tuple[str, Sequence[str]] | None:
    """The struct that such a name means, as a column's name, and the path of the field in it."""
    if "." not in column.unresolved_attribute.unparsed_identifier:
        return None
    parts = column_parts(column.unresolved_attribute.unparsed_identifier)
    at = 1 if parts and parts[0].lower() in aliases(relation) else 0
    if len(parts) < at + 2 or parts[at].lower() not in {name.lower() for name in columns(relation)}:
        return None
    return quoted(parts[: at + 1]), parts[at + 1 :]


def _with_fields(condition: pb.Expression, relation: pb.Relation, columns: ColumnNames) -> pb.Expression:
    """A condition on `relation` in which fields of structs are taken out of columns, not named in one with them."""

    def taken_out(node: pb.Expression) -> pb.Expression:
        found = _field(node, relation, columns)
        if found is None:
            return node
        struct, path = found
        value = pb.Expression()
        value.CopyFrom(node)
        value.unresolved_attribute.unparsed_identifier = struct
        for name in path:
            value = field_of(value, name)
        return value

    return transform_expression(condition, taken_out)


def _called(names: Names) -> set[str]:
    return {_name(column) for column in names.values()}


def _names(condition: pb.Expression) -> Names | None:
    """The columns that a condition looks at; None if it may not be moved."""
    names: Names = {}
    for node in expressions(pb.Filter(condition=condition)):
        match node.WhichOneof("expr_type"):
            case "unresolved_attribute":
                known = names.setdefault(_name(node), node)
                if known != node:
                    return None  # columns of one name, told apart by what stands before it
            case _ if not _is_movable_part(node):
                return None
    return names or None


def _is_movable(condition: pb.Expression) -> bool:
    """Whether a condition gives the same wherever it stands."""
    return all(map(_is_movable_part, expressions(pb.Filter(condition=condition))))


def _is_movable_part(node: pb.Expression) -> bool:
    match node.WhichOneof("expr_type"):
        case "unresolved_function":
            known = node.unresolved_function.function_name.lower() not in NOT_DETERMINISTIC
            return known and time_function(node) in _MOVABLE_TIMES
        case "expression_string":
            tokens = tokenize(node.expression_string.expression)
            return all(token.name is None or token.word in _OF_CONSTANTS for token in tokens)
        case kind:
            return kind in _MOVABLE


def _renamed(condition: pb.Expression, names: Names) -> pb.Expression:
    renamed = pb.Filter(condition=condition)
    for node in expressions(renamed):
        if node.HasField("unresolved_attribute"):
            node.CopyFrom(col(_name(names[_name(node)])))
    return renamed.condition
