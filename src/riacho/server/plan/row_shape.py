"""How the rows that a streaming plan gives relate to those that it reads: what a count of both can be held against.

    one for one                         project, watermark, union all: each row read comes out
    but for those dropped by name       dropDuplicates and the like: the operator counts what it drops
    but for those filtered              where, na.drop: some do not come out, and nobody counts them
    otherwise                           aggregates, joins, explode, limit: no row is any row read
"""

from __future__ import annotations

from dataclasses import dataclass

from riacho.protos import pb
from riacho.server.plan.facts import is_streaming, is_streaming_leaf
from riacho.server.plan.mentions import function_names
from riacho.server.plan.walk import children, expressions

_KEEPING = frozenset(
    {"project", "with_columns", "with_columns_renamed", "drop", "to_df", "to_schema", "subquery_alias", "hint",
     "with_watermark", "collect_metrics", "repartition", "repartition_by_expression", "fill_na", "replace",
     "deduplicate"}
)  # fmt: skip
"""Relations that give a row for each row of their one input, but for those that they count as dropped."""
_FILTERING = frozenset({"filter", "drop_na"})
_GENERATORS = frozenset(
    {"EXPLODE", "EXPLODE_OUTER", "POSEXPLODE", "POSEXPLODE_OUTER", "INLINE", "INLINE_OUTER", "STACK",
     "VARIANT_EXPLODE", "VARIANT_EXPLODE_OUTER"}
)  # fmt: skip
"""Functions that make several rows of one, or none."""


@dataclass(frozen=True)
class RowShape:
    """What stands between the rows read and those given.

    `filtered`: some rows may not come out. `others`: what makes other rows of them, by name, sorted.
    """

    filtered: bool = False
    others: tuple[str, ...] = ()

    @property
    def is_exact(self) -> bool:
        """Whether each row read comes out, unless an operator counts it as dropped."""
        return not self.filtered and not self.others


def row_shape(relation: pb.Relation) -> RowShape:
    """The shape of a streaming plan in its resolved form, `PlannedStream.resolved`. What is not known is `others`."""
    filtered = False
    others: set[str] = set()
    pending = [relation]
    while pending:
        node = pending.pop()
        kind = node.WhichOneof("rel_type") or "unknown"
        if is_streaming_leaf(node):
            continue
        if kind == "with_relations":
            pending.append(node.with_relations.root)
            continue
        if kind in _FILTERING:
            filtered = True
        elif kind == "set_op":
            if not _is_union_all(node.set_op):
                others.add("set operation")
        elif kind not in _KEEPING:
            others.add(kind.replace("_", " "))
        if any(not function_names(part).isdisjoint(_GENERATORS) for part in expressions(node)):
            others.add("explode")
        below = list(children(node))
        if not all(map(is_streaming, below)):
            others.add(kind.replace("_", " "))
        pending += below
    return RowShape(filtered, tuple(sorted(others)))


def _is_union_all(operation: pb.SetOperation) -> bool:
    return operation.set_op_type == pb.SetOperation.SET_OP_TYPE_UNION and operation.is_all
