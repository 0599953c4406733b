"""What a run tells its client, word for word as Spark says it. Source: `FlowProgressEventLogger`, `PipelineExecution`.

Only the time and the text of an event cross the wire. Some texts quote the flow's name and some do not.
"""

from __future__ import annotations

from dataclasses import dataclass

from riacho.errors import SparkError
from riacho.protos import pb
from riacho.server.graph.names import Identifier


@dataclass(frozen=True)
class PipelineEvent:
    """Something happened at `time_ms` (milliseconds since the epoch)."""

    message: str
    time_ms: int

    def to_proto(self) -> pb.PipelineEventResult:
        """The event as the client gets it."""
        result = pb.PipelineEventResult()
        result.event.message = self.message
        result.event.timestamp.FromMilliseconds(self.time_ms)
        return result


def queued(flow: Identifier) -> str:
    return f"Flow {flow} is QUEUED."


def planning(flow: Identifier) -> str:
    """Of batch flows only."""
    return f"Flow {flow} is PLANNING."


def starting(flow: Identifier) -> str:
    return f"Flow {flow} is STARTING."


def running(flow: Identifier) -> str:
    return f"Flow {flow} is RUNNING."


def completed(flow: Identifier) -> str:
    return f"Flow {flow} has COMPLETED."


def failed(flow: Identifier, error: BaseException) -> str:
    """An attempt failed; another may follow."""
    return _with_error(f"Flow '{flow}' has FAILED.", error)


def gave_up(flow: Identifier, retries: int, error: BaseException) -> str:
    """The last attempt of a streaming flow failed."""
    return _with_error(f"Flow '{flow}' has FAILED more than {retries} times and will not be restarted.", error)


def skipped(flow: Identifier) -> str:
    return f"Flow '{flow}' SKIPPED due to upstream failure(s)."


def excluded(flow: Identifier) -> str:
    return f"Flow '{flow}' is EXCLUDED."


def stopped(flow: Identifier) -> str:
    return f"Flow '{flow}' has STOPPED."


def not_resolved(flow: Identifier, error: BaseException) -> str:
    return _with_error(f"Failed to resolve flow: '{flow}'.", error)


def not_resolved_downstream(flow: Identifier, error: BaseException) -> str:
    return _with_error(f"Failed to resolve flow due to upstream failure: '{flow}'.", error)


RUN_COMPLETED = "Run is COMPLETED."


def _with_error(message: str, error: BaseException) -> str:
    """The text with the messages of the error and of its causes, a line each."""
    messages = []
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, SparkError) or cause is error:
            messages.append(str(cause))
        cause = cause.__cause__
    return f"{message}\nError: " + "\n".join(messages)
