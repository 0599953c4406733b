"""`withWatermark` → nothing: the engine does not know it.

    before                                  after
    Filter a > 1                            Filter a > 1
      WithWatermark ts, 10 seconds            Read (streaming) json /landing
        Read (streaming) json /landing

What it said is kept in `context.watermarks`. On a batch plan a watermark means nothing, in Spark either, and is not
reported.
"""

from __future__ import annotations

from dataclasses import replace

from riacho.protos import pb
from riacho.server.plan.context import Context, EventTimeMark
from riacho.server.plan.facts import is_streaming
from riacho.server.plan.restore_names import plan_ids_used, same
from riacho.server.plan.walk import transform


def strip_watermark(relation: pb.Relation, context: Context) -> pb.Relation:
    """Apply the rule, also to the inputs of observations that were noted before."""
    found: list[EventTimeMark] = []

    used = plan_ids_used(relation)

    def change(node: pb.Relation) -> pb.Relation:
        if node.WhichOneof("rel_type") != "with_watermark":
            return node
        kept = pb.WithWatermark()
        kept.CopyFrom(node.with_watermark)
        if is_streaming(kept.input):
            found.append(EventTimeMark(kept.input, kept.event_time, kept.delay_threshold))
        # Columns may have been taken from the DataFrame that goes away here.
        wanted = node.common.plan_id in used
        return same(node.with_watermark.input, node.common.plan_id) if wanted else node.with_watermark.input

    stripped = transform(relation, change)
    context.watermarks += reversed(found)  # `transform` goes through the plan from its end
    found.clear()
    context.observations = [replace(seen, input=transform(seen.input, change)) for seen in context.observations]
    return stripped
