"""What happens in a run: what its client is told, word for word as Spark says it, and what the event log has besides.

Only the time and the text of an event cross the wire. Some texts quote the flow's name and some do not. Sources of the
texts: `FlowProgressEventLogger`, `PipelineExecution`. The types, levels and details are those of Lakeflow's event log.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from riacho.errors import SparkError
from riacho.ids import new_uuid
from riacho.protos import pb
from riacho.server.graph.names import Identifier
from riacho.server.graph.ports import Refreshed, RefreshWay

REPLAY = "REPLAY"
"""The operation that a replay is in `operation_progress`."""


class EventType(StrEnum):
    """The kinds of events; each has an object of this name in its details."""

    CREATE_UPDATE = "create_update"
    UPDATE_PROGRESS = "update_progress"
    GRAPH_CREATED = "graph_created"
    DATASET_DEFINITION = "dataset_definition"
    SINK_DEFINITION = "sink_definition"
    FLOW_DEFINITION = "flow_definition"
    PLANNING_INFORMATION = "planning_information"
    OPERATION_PROGRESS = "operation_progress"
    FLOW_PROGRESS = "flow_progress"
    STREAM_PROGRESS = "stream_progress"
    MAINTENANCE_PROGRESS = "maintenance_progress"


class EventLevel(StrEnum):
    """How much an event matters. `METRICS`: one of many, with figures; people look at it when they ask for it."""

    METRICS = "METRICS"
    INFO = "INFO"
    WARN = "WARN"
    ERROR = "ERROR"


@dataclass(frozen=True)
class PipelineEvent:
    """Something happened at `time_ms` (milliseconds since the epoch), perhaps to a flow, a dataset or a sink.

    `details`: what stands under the type's name in the details. `once`: the query and the batch that the event is
    about, if a batch that is run again would tell it again; its `id` is then the same.
    """

    type: EventType
    message: str
    time_ms: int = 0
    level: EventLevel = EventLevel.INFO
    details: Mapping[str, Any] = field(default_factory=dict)
    flow: Identifier | None = None
    dataset: Identifier | None = None
    sink: Identifier | None = None
    error: BaseException | None = None
    once: tuple[str, int] | None = None
    id: str = field(default_factory=new_uuid)

    def at(self, time_ms: int) -> PipelineEvent:
        """The same, at that time."""
        return replace(self, time_ms=time_ms)

    def to_proto(self) -> pb.PipelineEventResult:
        """The event as the client gets it."""
        result = pb.PipelineEventResult()
        result.event.message = self.message
        result.event.timestamp.FromMilliseconds(self.time_ms)
        return result


def queued(flow: Identifier) -> PipelineEvent:
    return _flow(flow, "QUEUED", f"Flow {flow} is QUEUED.")


def planning(flow: Identifier) -> PipelineEvent:
    """Of batch flows only."""
    return _flow(flow, "PLANNING", f"Flow {flow} is PLANNING.")


def planned(flow: Identifier, done: Refreshed) -> PipelineEvent:
    """How a materialized view was refreshed; for the log alone."""
    technique: dict[str, Any] = {"maintenance_type": done.way.value, "is_chosen": True, "is_applicable": True}
    if done.way is RefreshWay.COMPLETE_RECOMPUTE:
        technique["incrementalization_issues"] = [{"issue_type": "NOT_INCREMENTAL", "message": done.why}]
    message = f"Flow '{flow}' has been executed as {done.way.name}: its table was {done.way.said}, for {done.why}."
    details = {"technique_information": [technique], "reason": done.why, "version": done.version}
    return PipelineEvent(EventType.PLANNING_INFORMATION, message, details=details, flow=flow)


def starting(flow: Identifier) -> PipelineEvent:
    return _flow(flow, "STARTING", f"Flow {flow} is STARTING.")


def running(flow: Identifier) -> PipelineEvent:
    return _flow(flow, "RUNNING", f"Flow {flow} is RUNNING.")


def completed(flow: Identifier) -> PipelineEvent:
    return _flow(flow, "COMPLETED", f"Flow {flow} has COMPLETED.")


def failed(flow: Identifier, error: BaseException, *, final: bool = True) -> PipelineEvent:
    """An attempt failed; another may follow, if it is not `final`."""
    message = _with_error(f"Flow '{flow}' has FAILED.", error)
    return _flow(flow, "FAILED", message, EventLevel.ERROR if final else EventLevel.WARN, error)


def gave_up(flow: Identifier, retries: int, error: BaseException) -> PipelineEvent:
    """The last attempt of a streaming flow failed."""
    message = _with_error(f"Flow '{flow}' has FAILED more than {retries} times and will not be restarted.", error)
    return _flow(flow, "FAILED", message, EventLevel.ERROR, error)


def skipped(flow: Identifier) -> PipelineEvent:
    return _flow(flow, "SKIPPED", f"Flow '{flow}' SKIPPED due to upstream failure(s).", EventLevel.WARN)


def excluded(flow: Identifier) -> PipelineEvent:
    return _flow(flow, "EXCLUDED", f"Flow '{flow}' is EXCLUDED.")


def idle(flow: Identifier) -> PipelineEvent:
    """Of a flow that was to run once, and has."""
    return _flow(flow, "IDLE", f"Flow '{flow}' is IDLE.")


def stopped(flow: Identifier) -> PipelineEvent:
    return _flow(flow, "STOPPED", f"Flow '{flow}' has STOPPED.")


def waiting(flow: Identifier) -> PipelineEvent:
    """Of a flow that keeps running."""
    return _flow(flow, "IDLE", f"Flow '{flow}' is IDLE, waiting for new data.")


def not_resolved(flow: Identifier, error: BaseException) -> PipelineEvent:
    return _flow(flow, "FAILED", _with_error(f"Failed to resolve flow: '{flow}'.", error), EventLevel.ERROR, error)


def not_resolved_downstream(flow: Identifier, error: BaseException) -> PipelineEvent:
    message = _with_error(f"Failed to resolve flow due to upstream failure: '{flow}'.", error)
    return _flow(flow, "SKIPPED", message, EventLevel.WARN, error)


def run_completed() -> PipelineEvent:
    return update("COMPLETED", "Run is COMPLETED.")


def update(state: str, message: str, error: BaseException | None = None) -> PipelineEvent:
    """The run as a whole is in another state."""
    level = EventLevel.INFO if error is None else EventLevel.ERROR
    return PipelineEvent(EventType.UPDATE_PROGRESS, message, level=level, details={"state": state}, error=error)


def replaying() -> PipelineEvent:
    """A replay begins: who asked for it knows by this that the server knows replays."""
    details = {"type": REPLAY, "status": "STARTED"}
    return PipelineEvent(EventType.OPERATION_PROGRESS, "Replay has STARTED.", details=details)


def replayed(table: Identifier, counts: str, details: Mapping[str, Any]) -> PipelineEvent:
    """A replay has done what there was to do for a table. Spark has no replays; the text is riacho's own."""
    details = {"type": REPLAY, "status": "COMPLETED", **details}
    message = f"Replay of {table} has COMPLETED: {counts}"
    return PipelineEvent(EventType.OPERATION_PROGRESS, message, details=details, dataset=table)


def replay_failed(table: Identifier, error: BaseException) -> PipelineEvent:
    details = {"type": REPLAY, "status": "FAILED"}
    message = _with_error(f"Replay of {table} has FAILED.", error)
    return PipelineEvent(
        EventType.OPERATION_PROGRESS, message, level=EventLevel.ERROR, details=details, dataset=table, error=error
    )


def _flow(
    flow: Identifier,
    status: str,
    message: str,
    level: EventLevel = EventLevel.INFO,
    error: BaseException | None = None,
) -> PipelineEvent:
    return PipelineEvent(
        EventType.FLOW_PROGRESS, message, level=level, details={"status": status}, flow=flow, error=error
    )


def _with_error(message: str, error: BaseException) -> str:
    """The text with the messages of the error and of its causes, a line each."""
    messages = []
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, SparkError) or cause is error:
            messages.append(str(cause))
        cause = cause.__cause__
    return f"{message}\nError: " + "\n".join(messages)
