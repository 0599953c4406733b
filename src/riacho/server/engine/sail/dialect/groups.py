"""Keys of a grouping that are asked for by a DataFrame below it → by the grouping itself.

    before                          after
    Filter k@1 = 'a'                Filter k@2 = 'a'
      Aggregate k -> count(1) @2      Aggregate k -> count(1) @2
        Read t @1                       Read t @1

`df.groupBy("k").count().where(df.k == "a")`: the engine forgets above an aggregation where columns come from.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from riacho.protos import pb
from riacho.server.plan.column_names import last_part
from riacho.server.plan.walk import Path, child_paths, expressions, walk, walk_paths


@dataclass(frozen=True)
class _Seen:
    """The DataFrames that a node's columns may be asked for by.

    `plain`: as the engine knows them. `grouped`: those below a grouping, to the grouping and the names of its keys.
    """

    plain: frozenset[int] = frozenset()
    grouped: dict[int, tuple[int, frozenset[str]]] = field(default_factory=dict)


def keys_of_groups(relation: pb.Relation) -> pb.Relation:
    """`relation` as the engine is to have it; the same object if it will do as it is."""
    if not any(_is_grouped(node) for node in walk(relation)) or not any(_renamed(relation)):
        return relation
    changed = pb.Relation()
    changed.CopyFrom(relation)
    for column, plan_id in list(_renamed(changed)):
        column.plan_id = plan_id
    return changed


def _is_grouped(node: pb.Relation) -> bool:
    """Whether something other than an aggregation stands directly on one; the cheap test that most plans fail."""
    return any(child.HasField("aggregate") for _, child in child_paths(node))


def _renamed(relation: pb.Relation) -> Iterator[tuple[pb.Expression.UnresolvedAttribute, int]]:
    """The columns to ask for by another DataFrame, and that one."""
    seen: dict[Path, _Seen] = {}
    for path, node in reversed(list(walk_paths(relation))):
        below = _together([seen.pop((*path, *steps)) for steps, _ in child_paths(node)])
        if below.grouped:
            for expression in expressions(node):
                column = expression.unresolved_attribute
                if expression.HasField("unresolved_attribute") and column.plan_id in below.grouped.keys() - below.plain:
                    grouping, keys = below.grouped[column.plan_id]
                    if last_part(column.unparsed_identifier) in keys:
                        yield column, grouping
        seen[path] = _of(node, below)


def _of(node: pb.Relation, below: _Seen) -> _Seen:
    if not node.common.HasField("plan_id"):
        return below if not node.HasField("aggregate") else _Seen()
    own = node.common.plan_id
    if not node.HasField("aggregate"):
        return _Seen(below.plain | {own}, below.grouped)
    attributes = (key.unresolved_attribute for key in node.aggregate.grouping_expressions)
    keys = frozenset(last_part(key.unparsed_identifier) for key in attributes if key.unparsed_identifier)
    return _Seen(frozenset({own}), dict.fromkeys(below.plain | below.grouped.keys(), (own, keys)))


def _together(sides: list[_Seen]) -> _Seen:
    plain = frozenset[int]().union(*(side.plain for side in sides))
    grouped: dict[int, tuple[int, frozenset[str]]] = {}
    for side in sides:
        grouped |= side.grouped
    return _Seen(plain, grouped)
