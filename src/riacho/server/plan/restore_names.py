"""Let rows that stand in for a relation be called by all the names the relation had.

When the result of a part of a plan is computed first and then read back, what is above may still name columns by a
DataFrame inside that part (`df.k`, which carries a plan id) or by an alias (`a.k`). So the read is wrapped in
projections that change nothing but have those ids, and in the alias.
"""

from __future__ import annotations

from riacho.protos import pb
from riacho.server.plan import build
from riacho.server.plan.walk import children, expressions, walk

SAME_NAMES = frozenset({"filter", "sort", "limit", "offset", "deduplicate", "with_watermark", "hint", "repartition",
                        "repartition_by_expression", "sample", "collect_metrics"})  # fmt: skip
"""Relations above which an alias below can still be used."""


def plan_ids_used(relation: pb.Relation) -> frozenset[int]:
    """The plan ids by which some expression of the plan names a column."""
    found = set()
    for node in walk(relation):
        for expression in expressions(node):
            for kind in ("unresolved_attribute", "unresolved_star", "unresolved_regex"):
                if expression.HasField(kind) and getattr(expression, kind).HasField("plan_id"):
                    found.add(getattr(expression, kind).plan_id)
    return frozenset(found)


def restore_names(rows: pb.Relation, original: pb.Relation, used: frozenset[int]) -> pb.Relation:
    """`rows`, which has the columns of `original`, with the names that `original` had. `used`: see `plan_ids_used`."""
    ids = [node.common.plan_id for node in walk(original) if node.common.HasField("plan_id")]
    restored = rows
    alias = _alias(original)
    if alias is not None:
        restored = pb.Relation(subquery_alias=pb.SubqueryAlias(input=restored, alias=alias))
    for plan_id in dict.fromkeys(ids):
        if plan_id in used:
            restored = same(restored, plan_id)
    return restored


def same(rows: pb.Relation, plan_id: int | None) -> pb.Relation:
    """A relation of the same rows with a plan id."""
    wrapped = build.where(rows, build.boolean(True))
    if plan_id is not None:
        wrapped.common.plan_id = plan_id
    return wrapped


def without_watermark(node: pb.Relation) -> pb.Relation:
    """What stands in for one `withWatermark` or `observe`; any other relation is given back."""
    match node.WhichOneof("rel_type"):
        case "with_watermark":
            below = node.with_watermark.input
        case "collect_metrics":
            below = node.collect_metrics.input
        case _:
            return node
    return same(below, node.common.plan_id if node.common.HasField("plan_id") else None)


def _alias(relation: pb.Relation) -> str | None:
    node = relation
    while (kind := node.WhichOneof("rel_type")) in SAME_NAMES:
        [node] = children(node)
    return node.subquery_alias.alias if kind == "subquery_alias" else None
