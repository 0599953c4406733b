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

The filter above stays: a deterministic filter may be applied twice.
"""

from __future__ import annotations

from dataclasses import dataclass

from riacho.plan.build import col, where
from riacho.plan.event_time import last_part, output_name
from riacho.plan.facts import is_streaming
from riacho.plan.sql_expressions import conjuncts, structured
from riacho.plan.walk import expressions, replace, walk
from riacho.protos import pb

_NOT_DETERMINISTIC = frozenset(
    {"rand", "random", "randn", "randstr", "uniform", "uuid", "shuffle", "monotonically_increasing_id",
     "spark_partition_id", "current_timestamp", "now", "input_file_name"}
)  # fmt: skip
_TRANSPARENT = frozenset({"filter", "subquery_alias", "hint", "repartition", "sort"})

Names = dict[str, str]
"""Columns a condition looks at, as it calls them, to what they are called at some place below; all in lower case."""


@dataclass(frozen=True)
class _Place:
    """A relation that is to get a filter on top, and the names there."""

    relation: pb.Relation
    names: Names


def push_filters(relation: pb.Relation) -> pb.Relation:
    """Apply the rule; `relation` is left as it is."""
    result = pb.Relation()
    result.CopyFrom(relation)
    for node in reversed(list(walk(result))):
        if node.WhichOneof("rel_type") != "filter" or not is_streaming(node):
            continue
        for condition in conjuncts(structured(node.filter.condition)):
            names = _names(condition)
            if names is None:
                continue
            for place in _places(node.filter.input, names):
                replace(place.relation, where(place.relation, _renamed(condition, place.names)))
    return result


def _places(node: pb.Relation, names: Names) -> list[_Place]:
    """Where a condition on these columns goes, below `node`."""
    kind = node.WhichOneof("rel_type") or ""
    below: Names | None = names
    match kind:
        case "with_watermark":
            if last_part(node.with_watermark.event_time) in names.values():
                return []
            return [_Place(node.with_watermark.input, names)]
        case "aggregate":
            below = _through(list(node.aggregate.grouping_expressions), names)
            return [] if below is None else _below_aggregate(node.aggregate.input, below)
        case "project":
            below = _through(list(node.project.expressions), names)
        case "with_columns":
            changed = {alias.name[0].lower() for alias in node.with_columns.aliases}
            below = None if changed & set(names.values()) else names
        case "with_columns_renamed":
            below = _unrenamed(node.with_columns_renamed, names)
        case _ if kind not in _TRANSPARENT | {"drop"}:
            return []
    return [] if below is None else _places(getattr(node, kind).input, below)


def _below_aggregate(node: pb.Relation, names: Names) -> list[_Place]:
    """Directly below the aggregate, or still further down if there is a watermark to pass."""
    return _places(node, names) or [_Place(node, names)]


def _through(projected: list[pb.Expression], names: Names) -> Names | None:
    """What the columns are called below a projection; None if one of them is computed there."""
    sources: Names = {}
    star = False
    for expression in projected:
        if expression.HasField("unresolved_star"):
            star = True
            continue
        inner = expression.alias.expr if expression.HasField("alias") else expression
        if inner.HasField("unresolved_attribute"):
            sources[output_name(expression)] = last_part(inner.unresolved_attribute.unparsed_identifier)
        else:
            sources[output_name(expression)] = ""
    found = {}
    for called, name in names.items():
        source = sources.get(name, name if star else "")
        if not source:
            return None
        found[called] = source
    return found


def _unrenamed(node: pb.WithColumnsRenamed, names: Names) -> Names | None:
    old = {new.lower(): before.lower() for before, new in node.rename_columns_map.items()}
    old |= {rename.new_col_name.lower(): rename.col_name.lower() for rename in node.renames}
    return {called: old.get(name, name) for called, name in names.items()}


def _names(condition: pb.Expression) -> Names | None:
    """The columns that a condition looks at; None if it may not be moved."""
    names: Names = {}
    for node in expressions(pb.Filter(condition=condition)):
        match node.WhichOneof("expr_type"):
            case "unresolved_attribute":
                name = last_part(node.unresolved_attribute.unparsed_identifier)
                if "." in node.unresolved_attribute.unparsed_identifier:
                    return None  # may be a field of a struct
                names[name] = name
            case "unresolved_function":
                if node.unresolved_function.function_name.lower() in _NOT_DETERMINISTIC:
                    return None
            case "literal" | "cast" | "alias" | "unresolved_extract_value" | "unresolved_named_lambda_variable":
                pass
            case _:
                return None
    return names or None


def _renamed(condition: pb.Expression, names: Names) -> pb.Expression:
    renamed = pb.Filter(condition=condition)
    for node in expressions(renamed):
        if node.HasField("unresolved_attribute"):
            name = names[last_part(node.unresolved_attribute.unparsed_identifier)]
            node.CopyFrom(col(name))
    return renamed.condition
