"""`observe` → nothing: it only watches the rows that pass, and the engine does not know it.

    before                                      after
    Filter a > 1                                Filter a > 1
      CollectMetrics "quality" count(a) AS n      Read (streaming) json /landing
        Read (streaming) json /landing

What was to be counted is kept in `context.observations`.
"""

from __future__ import annotations

from riacho.protos import pb
from riacho.server.plan.context import Context, Observation
from riacho.server.plan.restore_names import plan_ids_used, same
from riacho.server.plan.walk import transform


def strip_observations(relation: pb.Relation, context: Context) -> pb.Relation:
    """Apply the rule."""
    found: list[Observation] = []

    used = plan_ids_used(relation)

    def change(node: pb.Relation) -> pb.Relation:
        if node.WhichOneof("rel_type") != "collect_metrics":
            return node
        kept = pb.CollectMetrics()
        kept.CopyFrom(node.collect_metrics)
        found.append(Observation(kept.input, kept.name, list(kept.metrics)))
        # Columns may have been taken from the DataFrame that goes away here.
        wanted = node.common.plan_id in used
        return same(node.collect_metrics.input, node.common.plan_id) if wanted else node.collect_metrics.input

    stripped = transform(relation, change)
    context.observations += reversed(found)  # `transform` goes through the plan from its end
    return stripped
