"""The listener bus: one open stream per session, on which a client hears of its queries.

Started events travel with the reply to the start (the client calls `onQueryStarted` before `start()` returns); all
others come here. The stream is completed only when the bus is removed.
"""

from __future__ import annotations

from queue import Empty

from riacho.protos import pb
from riacho.server.operations import Responses
from riacho.server.session import ListenerBus, ServerSession
from riacho.streaming.board import Listener

LOOK_UP_S = 1.0
PROGRESS, TERMINATED, IDLE = 1, 2, 3


def bus(session: ServerSession, command: pb.StreamingQueryListenerBusCommand) -> Responses:
    """Open the bus and send events until it is removed; or remove it. A second add to a session just completes."""
    if command.WhichOneof("command") == "remove_listener_bus_listener":
        open_bus, session.listener_bus = session.listener_bus, None
        if open_bus is not None:
            open_bus.events.put(None)
        return
    if session.listener_bus is not None:
        return
    opened = session.listener_bus = ListenerBus()
    response = pb.ExecutePlanResponse()
    response.streaming_query_listener_events_result.listener_bus_listener_added = True
    yield response.SerializeToString()
    while True:
        try:
            event = opened.events.get(timeout=LOOK_UP_S)
        except Empty:
            yield None
            continue
        if event is None:
            return
        text, kind = event
        response = pb.ExecutePlanResponse()
        response.streaming_query_listener_events_result.events.add(event_json=text, event_type=kind)
        yield response.SerializeToString()


def listener_of(session: ServerSession) -> Listener:
    """A query's listener that puts its events on the session's bus, if one is open at that time."""

    def post(kind: int, text: str) -> None:
        if session.listener_bus is not None:
            session.listener_bus.events.put((text, kind))

    return Listener(
        on_progress=lambda text: post(PROGRESS, text),
        on_idle=lambda text: post(IDLE, text),
        on_terminated=lambda text: post(TERMINATED, text),
    )
