"""dropDuplicatesWithinWatermark → dropDuplicates: the same columns, in words that the engine knows.

    before                                       after
    Deduplicate k, within the watermark          Deduplicate k

What it means on a stream is the business of `streaming.operators.deduplicate`, which looks at the plan before this
rule.
"""

from __future__ import annotations

from riacho.protos import pb
from riacho.server.plan.context import Context
from riacho.server.plan.walk import transform


def within_watermark(relation: pb.Relation, context: Context) -> pb.Relation:  # noqa: ARG001
    """Apply the rule."""
    return transform(relation, without_within_watermark)


def without_within_watermark(node: pb.Relation) -> pb.Relation:
    """The node, deduplicating without regard to the watermark if it deduplicates at all."""
    if node.HasField("deduplicate"):
        node.deduplicate.ClearField("within_watermark")
    return node
