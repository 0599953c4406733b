"""What Spark refuses to run, refused before it starts, in Spark's words.

Source: `UnsupportedOperationChecker` (the batch half here, the streaming half in `stream_checks.py`).
"""

from __future__ import annotations

from riacho.errors import AnalysisError
from riacho.plan.facts import is_streaming_leaf
from riacho.plan.text import outline
from riacho.plan.walk import walk
from riacho.protos import pb


def refuse(text: str, node: pb.Relation) -> AnalysisError:
    """The error that Spark raises for a plan it cannot run: the text, and the plan at fault behind it."""
    return AnalysisError(f"{text};\n{outline(node)}\n", condition="_LEGACY_ERROR_TEMP_3102", parameters={"msg": text})


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
