"""A read of a temporary view that only riacho knows → the view's own plan under its name.

    before                 after
    Filter a > 1           Filter a > 1
      Read v                 SubqueryAlias v
                               Read (streaming) json /landing

Happens once, when a query starts: a view replaced later does not change a query that runs, as in Spark.
"""

from __future__ import annotations

from riacho.protos import pb
from riacho.server.plan.context import Context
from riacho.server.plan.walk import transform
from riacho.server.sql.tokens import parse_identifier


def inline_views(relation: pb.Relation, context: Context) -> pb.Relation:
    """Apply the rule. The views themselves hold no more names of views."""
    if not context.views:
        return relation

    def change(node: pb.Relation) -> pb.Relation:
        if node.WhichOneof("rel_type") != "read" or not node.read.HasField("named_table"):
            return node
        parts = parse_identifier(node.read.named_table.unparsed_identifier)
        view = find_view(context, parts)
        if view is None:
            return node
        inlined = pb.Relation(subquery_alias=pb.SubqueryAlias(input=view, alias=parts[-1]))
        if node.HasField("common"):  # columns taken from this DataFrame are found by its plan_id
            inlined.common.CopyFrom(node.common)
        return inlined

    return transform(relation, change)


def find_view(context: Context, parts: tuple[str, ...]) -> pb.Relation | None:
    """The view of that name: temporary ones have no catalog or database, global ones live in `global_temp`."""
    return context.views.get(".".join(parts).lower()) if parts else None
