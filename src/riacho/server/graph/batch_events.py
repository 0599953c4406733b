"""The event of a batch: how many rows went where. Each batch that is committed has one."""

from __future__ import annotations

from typing import Any

from riacho.server.graph.event_log.rows import stable_id
from riacho.server.graph.events import EventLevel, EventType, PipelineEvent
from riacho.server.graph.stages import StreamFlow
from riacho.server.streaming.progress import Progress


def batch_done(run: StreamFlow, progress: Progress) -> PipelineEvent:
    """The event of a batch of a flow; the same id whenever this batch runs."""
    flow = run.flow
    details: dict[str, Any] = {
        "status": "RUNNING",
        "metrics": {"num_output_rows": progress.output_rows},
        "batch": {
            "batch_id": progress.batch_id,
            "query_id": progress.query_id,
            "run_id": progress.run_id,
            "duration_ms": sum(progress.durations_ms.values()),
        },
    }
    return PipelineEvent(
        EventType.FLOW_PROGRESS,
        f"Flow {flow.identifier} has committed batch {progress.batch_id}.",
        level=EventLevel.METRICS,
        details=details,
        flow=flow.identifier,
        dataset=None if run.table is None else flow.target,
        sink=flow.target if run.table is None else None,
        once=(progress.query_id, progress.batch_id),
        id=stable_id("batch", progress.query_id, progress.batch_id),
    )
