"""Which columns of a plan's parts are surely used further up.

    Project k                       k is asked for here …
      Deduplicate k, ts             … so of this one's input k and ts are used
        Read k, ts, v

Spark's optimizer drops the other columns before it plans the operators, which can be seen: an operator must not have
two columns with event time, and one that was dropped does not count. Where it cannot be told whether a column is used
(what the optimizer makes of a filter, a kind of relation not known here), it is not in the answer.
"""

from __future__ import annotations

from collections.abc import Iterable

from riacho.plan.event_time import ColumnNames, last_part, output_name
from riacho.plan.sql_expressions import structured
from riacho.plan.walk import Path, expressions
from riacho.protos import pb

Used = dict[Path, frozenset[str]]
"""By the place of a relation, those of its columns that are used, in lower case."""

_TRANSPARENT = frozenset(
    {"sort", "limit", "offset", "subquery_alias", "repartition", "hint", "with_watermark", "drop", "filter"}
)


def columns_used(plan: pb.Relation, columns: ColumnNames) -> Used:
    """What is used of each part of `plan`, all of whose own columns are. `columns`: the names of a relation's."""
    used: Used = {}
    pending: list[tuple[Path, pb.Relation, frozenset[str]]] = [
        ((), plan, frozenset(name.lower() for name in columns(plan)))
    ]
    while pending:
        place, node, wanted = pending.pop()
        used[place] = wanted
        pending += [((*place, *steps), child, below) for steps, child, below in _below(node, wanted, columns)]
    return used


def _below(
    node: pb.Relation, wanted: frozenset[str], columns: ColumnNames
) -> Iterable[tuple[Path, pb.Relation, frozenset[str]]]:
    """The inputs of a node with what is used of them, if `wanted` is used of the node."""
    kind = node.WhichOneof("rel_type") or ""
    match kind:
        case "project":
            below = _projected(node.project.expressions, wanted)
        case "with_columns":
            made = {alias.name[0].lower(): alias.expr for alias in node.with_columns.aliases}
            below = (wanted - made.keys()) | _mentioned(made[name] for name in wanted & made.keys())
        case "with_columns_renamed":
            renames = node.with_columns_renamed
            old = {new.lower(): before.lower() for before, new in renames.rename_columns_map.items()}
            old |= {rename.new_col_name.lower(): rename.col_name.lower() for rename in renames.renames}
            below = frozenset(old.get(name, name) for name in wanted)
        case "aggregate":
            results = [e for e in node.aggregate.aggregate_expressions if output_name(e) in wanted]
            below = _mentioned([*node.aggregate.grouping_expressions, *results])
        case "deduplicate":
            keys = node.deduplicate.column_names or columns(node.deduplicate.input)
            below = wanted | {last_part(name) for name in keys}
        case "join":
            mentioned = wanted | _mentioned([node.join.join_condition]) | {n.lower() for n in node.join.using_columns}
            sides = [frozenset(name.lower() for name in columns(side)) for side in (node.join.left, node.join.right)]
            shared = (sides[0] & sides[1]) - {name.lower() for name in node.join.using_columns}
            yield ("join", "left"), node.join.left, (mentioned & sides[0]) - shared
            yield ("join", "right"), node.join.right, (mentioned & sides[1]) - shared
            return
        case _ if kind in _TRANSPARENT:
            below = wanted
        case _:
            return
    yield (kind, "input"), getattr(node, kind).input, below


def _projected(projected: Iterable[pb.Expression], wanted: frozenset[str]) -> frozenset[str]:
    named = [e for e in projected if not e.HasField("unresolved_star")]
    below = _mentioned(e for e in named if output_name(e) in wanted)
    if any(e.HasField("unresolved_star") for e in projected):
        below |= wanted - {output_name(e) for e in named}
    return below


def _mentioned(given: Iterable[pb.Expression]) -> frozenset[str]:
    """The columns that expressions mention."""
    written = (e for top in given for e in [top, *expressions(top)])
    read = (e for part in map(structured, written) for e in [part, *expressions(part)])
    return frozenset(
        last_part(e.unresolved_attribute.unparsed_identifier) for e in read if e.HasField("unresolved_attribute")
    )
