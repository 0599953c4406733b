"""Streaming commands: start a query, ask about one, wait for one."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator

from riacho.errors import StreamingQueryError
from riacho.ids import OperationId
from riacho.protos import pb
from riacho.server.connect.handlers.listeners import EventGate
from riacho.server.connect.operations import Responses
from riacho.server.connect.relations import resolve
from riacho.server.connect.services import Services
from riacho.server.connect.session import ServerSession
from riacho.server.streaming import progress
from riacho.server.streaming import start as starting
from riacho.server.streaming.query import StreamingQuery
from riacho.server.streaming.request import read_command

SLICE_S = 1.0
"""A wait looks up this often to see whether the client is still there."""

_EXCEPTION_CLASS = "org.apache.spark.sql.streaming.StreamingQueryException"


def start(services: Services, session: ServerSession, request: pb.ExecutePlanRequest) -> Responses:
    """WriteStreamOperationStart. Raises what is wrong with the plan or the options; later failures are the query's."""
    relation = resolve(session, request.plan.command.write_stream_operation_start.input)
    gate = EventGate(session)
    query = starting.start(services.streaming(session), read_command(request, relation), gate.listener())
    try:
        services.operations.on_removal(session.session_id, OperationId(request.operation_id), gate.released)
        reply = _started(session, query)
    except BaseException:
        services.queries.discard(query)
        raise
    try:
        # The client hears of the start with this reply, and must hear of it before anything else of the query.
        yield reply
    finally:
        services.queries.begin(query)


def _started(session: ServerSession, query: StreamingQuery) -> bytes:
    response = pb.ExecutePlanResponse()
    result = response.write_stream_operation_start_result
    result.query_id.id, result.query_id.run_id = query.query_id, query.run_id
    result.name = query.name or ""
    if session.listener_bus is not None:
        result.query_started_event_json = progress.started_event(
            query.query_id, query.run_id, query.name, query.started_ms, query.definition.tags
        )
    return response.SerializeToString()


def query_command(services: Services, session: ServerSession, request: pb.ExecutePlanRequest) -> Responses:
    """StreamingQueryCommand. Raises IllegalArgumentError for an unknown query, its failure where one waits for it."""
    command = request.plan.command.streaming_query_command
    query = services.queries.find(session.session_id, command.query_id.id, command.query_id.run_id)
    response = pb.ExecutePlanResponse()
    result = response.streaming_query_command_result
    result.query_id.CopyFrom(command.query_id)
    match command.WhichOneof("command"):
        case "status":
            status = query.status
            result.status.status_message = status.message
            result.status.is_data_available = status.is_data_available
            result.status.is_trigger_active = status.is_trigger_active
            result.status.is_active = query.is_active
        case "last_progress":
            _add_progress(result, query, last=True)
        case "recent_progress":
            _add_progress(result, query, last=False)
        case "stop":
            query.stop()
        case "process_all_available":
            yield from _slices(math.inf, query.all_available_waiter())
        case "explain":
            result.explain.result = query.definition.plan_text
        case "exception":
            if query.failure is not None:
                _describe(result.exception, query.failure, query.stack_trace)
            else:
                result.exception.SetInParent()
        case "await_termination":
            asked = command.await_termination
            timeout_s = asked.timeout_ms / 1000 if asked.HasField("timeout_ms") else math.inf
            result.await_termination.terminated = yield from _slices(timeout_s, query.await_termination)
    yield response.SerializeToString()


def _add_progress(result: pb.StreamingQueryCommandResult, query: StreamingQuery, *, last: bool) -> None:
    entries = query.recent_progress
    result.recent_progress.SetInParent()
    result.recent_progress.recent_progress_json.extend(
        progress.progress_json(entry) for entry in (entries[-1:] if last else entries)
    )


def _describe(
    result: pb.StreamingQueryCommandResult.ExceptionResult, failure: StreamingQueryError, stack_trace: str
) -> None:
    # The client shows what stands behind the first ": ".
    result.exception_message = f"{_EXCEPTION_CLASS}: {failure.message}"
    result.error_class = failure.condition or ""
    result.stack_trace = stack_trace


def manager_command(services: Services, session: ServerSession, request: pb.ExecutePlanRequest) -> Responses:
    """StreamingQueryManagerCommand. Raises the failure of a query where one waits for any."""
    command = request.plan.command.streaming_query_manager_command
    queries, owner = services.queries, session.session_id
    response = pb.ExecutePlanResponse()
    result = response.streaming_query_manager_command_result
    result.SetInParent()
    match command.WhichOneof("command"):
        case "active":
            result.active.SetInParent()
            for query in queries.active(owner):
                _instance(result.active.active_queries.add(), query)
        case "get_query":
            for query in queries.active(owner):
                if query.query_id == command.get_query:
                    _instance(result.query, query)
        case "await_any_termination":
            asked = command.await_any_termination
            timeout_s = asked.timeout_ms / 1000 if asked.HasField("timeout_ms") else math.inf
            result.await_any_termination.terminated = yield from _slices(
                timeout_s, lambda limit_s: queries.await_any(owner, limit_s)
            )
        case "reset_terminated":
            queries.reset_terminated(owner)
            result.reset_terminated = True
        case "list_listeners":
            result.list_listeners.SetInParent()
    yield response.SerializeToString()


def _instance(instance: pb.StreamingQueryManagerCommandResult.StreamingQueryInstance, query: StreamingQuery) -> None:
    instance.id.id, instance.id.run_id = query.query_id, query.run_id
    if query.name is not None:
        instance.name = query.name


def _slices(timeout_s: float, wait: Callable[[float], bool]) -> Generator[None, None, bool]:
    """Wait in slices, so that a client that has gone is noticed. Whether it came in time."""
    left_s = timeout_s
    while True:
        slice_s = min(SLICE_S, left_s)
        if wait(slice_s):
            return True
        left_s -= slice_s
        if left_s <= 0:
            return False
        yield None
