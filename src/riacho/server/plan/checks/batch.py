"""What cannot be run as a batch. Source: `UnsupportedOperationChecker.checkForBatch`."""

from __future__ import annotations

from riacho.protos import pb
from riacho.server.plan.checks.refusal import refuse
from riacho.server.plan.facts import is_streaming_leaf
from riacho.server.plan.walk import walk

_STREAM_RUN_AS_BATCH = (
    "Queries with streaming sources must be executed with writeStream.start(), or from a streaming table or flow "
    "definition within a Spark Declarative Pipeline."
)


def check_batch(relation: pb.Relation) -> None:
    """Raises AnalysisError if a plan cannot be run as a batch: it reads a stream, or drops duplicates by watermark."""
    for node in walk(relation):
        if is_streaming_leaf(node):
            raise refuse(_STREAM_RUN_AS_BATCH, node)
    for node in walk(relation):
        if node.WhichOneof("rel_type") == "deduplicate" and node.deduplicate.within_watermark:
            raise refuse("dropDuplicatesWithinWatermark is not supported with batch DataFrames/DataSets", node)
