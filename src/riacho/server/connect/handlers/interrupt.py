"""Interrupt, and the end of a session: what it runs is stopped, here and in the engine."""

from __future__ import annotations

from riacho.protos import pb
from riacho.server.connect.services import Services
from riacho.server.connect.session import ServerSession
from riacho.server.streaming.query import StreamingQuery


def interrupt(services: Services, session: ServerSession, request: pb.InterruptRequest) -> list[str]:
    """Stop operations and the streaming queries they started, by all, tag or id. The ids of what was stopped."""
    running = services.operations.of_session(session.session_id)
    known = {operation.operation_id for operation in running}
    match request.interrupt_type:
        case pb.InterruptRequest.INTERRUPT_TYPE_TAG:
            tag = request.operation_tag
            queries = [query for query in _queries(services, session) if tag in query.definition.tags]
            running = [operation for operation in running if tag in operation.tags]
        case pb.InterruptRequest.INTERRUPT_TYPE_OPERATION_ID:
            wanted = request.operation_id
            queries = [query for query in _queries(services, session) if query.definition.operation_id == wanted]
            running = [operation for operation in running if operation.operation_id == wanted]
        case _:
            queries = _queries(services, session)
    interrupted = {operation.operation_id for operation in running if operation.interrupt()}
    for query in queries:
        query.ask_to_stop()
    request.ClearField("client_observed_server_side_session_id")
    reply = pb.InterruptResponse.FromString(session.engine.call("Interrupt", request.SerializeToString()))
    # The engine also runs what riacho itself asked it for the client's sake.
    engines = known.intersection(reply.interrupted_ids)
    return sorted({*engines, *interrupted, *(query.definition.operation_id for query in queries)})


def end_session(services: Services, session: ServerSession) -> None:
    """The client has left: its queries stop, its listener bus closes, the engine forgets it."""
    services.queries.stop_all(session.session_id)
    for operation in services.operations.of_session(session.session_id):
        operation.release(None)
        services.operations.remove(session.session_id, operation.operation_id)
    if session.listener_bus is not None:
        session.listener_bus.events.put(None)
    services.pipelines.end_session(session.session_id)
    services.sessions.release(session.user_id, session.session_id)


def _queries(services: Services, session: ServerSession) -> list[StreamingQuery]:
    return services.queries.active(session.session_id)
