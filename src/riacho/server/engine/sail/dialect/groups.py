"""Grouping keys qualified with a DataFrame or an alias below the grouping → qualified with the grouping itself.

    before                          after
    Filter k@1 = 'a'                Filter k@2 = 'a'
      Aggregate k -> count(1) @2      Aggregate k -> count(1) @2
        Read t @1                       Read t @1

`df.groupBy("k").count().where(df.k == "a")`: above an aggregation, the engine no longer knows where columns
come from. The same goes for `df.alias("d").groupBy("d.k").count().where("d.k = 'a'")`, except where it is SQL text.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from riacho.identifiers import column_parts, last_part, quote_if_needed
from riacho.protos import pb
from riacho.server.plan.walk import Path, child_paths, expressions, walk, walk_paths


@dataclass(frozen=True)
class _Seen:
    """The qualifiers for a node's columns: the plan ids of DataFrames, and aliases in lower case.

    `plain`: those that the engine knows. `grouped`: those below a grouping, mapped to it and the names of its keys.
    """

    plain: frozenset[int | str] = frozenset()
    grouped: dict[int | str, tuple[int, frozenset[str]]] = field(default_factory=dict)


_Change = tuple[pb.Expression.UnresolvedAttribute, str, int]
"""A column, and what replaces it: its name, and the DataFrame."""


def keys_of_groups(relation: pb.Relation) -> pb.Relation:
    """`relation` rewritten for the engine; the same object if nothing has to change."""
    if not any(_is_on_group(node) for node in walk(relation)) or not any(_changes(relation)):
        return relation
    changed = pb.Relation()
    changed.CopyFrom(relation)
    for column, name, plan_id in list(_changes(changed)):
        column.unparsed_identifier, column.plan_id = name, plan_id
    return changed


def _is_on_group(node: pb.Relation) -> bool:
    """Whether a node is directly above an aggregation: a cheap test that rules out most plans."""
    return any(child.HasField("aggregate") for _, child in child_paths(node))


def _changes(relation: pb.Relation) -> Iterator[_Change]:
    seen: dict[Path, _Seen] = {}
    for path, node in reversed(list(walk_paths(relation))):
        below = _together([seen.pop((*path, *steps)) for steps, _ in child_paths(node)])
        if below.grouped:
            for expression in expressions(node):
                if expression.HasField("unresolved_attribute"):
                    yield from _change(expression.unresolved_attribute, below)
        seen[path] = _of(node, below)


def _change(column: pb.Expression.UnresolvedAttribute, below: _Seen) -> Iterator[_Change]:
    parts = column_parts(column.unparsed_identifier)
    asked: int | str = column.plan_id if column.HasField("plan_id") else parts[0].lower() if len(parts) == 2 else ""
    if asked not in below.grouped.keys() - below.plain:
        return
    grouping, keys = below.grouped[asked]
    if parts[-1].lower() in keys:
        name = column.unparsed_identifier if column.HasField("plan_id") else quote_if_needed(parts[-1])
        yield column, name, grouping


def _of(node: pb.Relation, below: _Seen) -> _Seen:
    own = node.common.plan_id if node.common.HasField("plan_id") else None
    if not node.HasField("aggregate"):
        alias = _alias(node)
        return _Seen(below.plain | {name for name in (own, alias) if name is not None}, below.grouped)
    if own is None:
        return _Seen()
    attributes = (key.unresolved_attribute for key in node.aggregate.grouping_expressions)
    keys = frozenset(last_part(key.unparsed_identifier) for key in attributes if key.unparsed_identifier)
    return _Seen(frozenset({own}), dict.fromkeys(below.plain | below.grouped.keys(), (own, keys)))


def _alias(node: pb.Relation) -> str | None:
    if node.HasField("subquery_alias"):
        return node.subquery_alias.alias.lower()
    is_named = node.HasField("read") and node.read.HasField("named_table")
    return last_part(node.read.named_table.unparsed_identifier) if is_named else None


def _together(sides: list[_Seen]) -> _Seen:
    plain = frozenset[int | str]().union(*(side.plain for side in sides))
    grouped: dict[int | str, tuple[int, frozenset[str]]] = {}
    for side in sides:
        grouped |= side.grouped
    return _Seen(plain, grouped)
