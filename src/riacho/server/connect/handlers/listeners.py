"""The listener bus: one open stream per session, on which a client hears of its queries.

Started events travel with the reply to the start (the client calls `onQueryStarted` before `start()` returns); all
others come here. The stream is completed only when the bus is removed.
"""

from __future__ import annotations

import threading
from queue import Empty

from riacho.protos import pb
from riacho.server.connect.operations import Responses
from riacho.server.connect.services import Services
from riacho.server.connect.session import ListenerBus, ServerSession
from riacho.server.streaming.query_status import Listener

LOOK_UP_S = 1.0
GATE_LIMIT_S = 1.0
CLIENT_MOMENT_S = 0.02
PROGRESS, TERMINATED, IDLE = 1, 2, 3


def bus(_: Services, session: ServerSession, request: pb.ExecutePlanRequest) -> Responses:
    """Open the bus and send events until it is removed; or remove it. A second add to a session just completes."""
    command = request.plan.command.streaming_query_listener_bus_command
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


class EventGate:
    """Holds a query's events back until its client has heard of the start.

    The client calls `onQueryStarted` when it has the whole reply to the start, which it tells by releasing that
    operation. If that never comes, the gate opens by itself after a second.
    """

    def __init__(self, session: ServerSession) -> None:
        self._session = session
        self._waiting: list[tuple[str, int]] | None = []
        self._lock = threading.Lock()
        if session.listener_bus is None:
            self.open()
        else:
            self._open_after(GATE_LIMIT_S)

    def released(self) -> None:
        """The client has the reply; it needs a moment to act on it."""
        self._open_after(CLIENT_MOMENT_S)

    def open(self) -> None:
        """Let through what has waited and all that comes. Idempotent."""
        with self._lock:
            waiting, self._waiting = self._waiting or [], None
            for event in waiting:
                self._send(event)

    def listener(self) -> Listener:
        """The query's listener."""
        return Listener(
            on_progress=lambda text: self._post((text, PROGRESS)),
            on_idle=lambda text: self._post((text, IDLE)),
            on_terminated=lambda text: self._post((text, TERMINATED)),
        )

    def _post(self, event: tuple[str, int]) -> None:
        with self._lock:
            if self._waiting is None:
                self._send(event)
            else:
                self._waiting.append(event)

    def _send(self, event: tuple[str, int]) -> None:
        if self._session.listener_bus is not None:
            self._session.listener_bus.events.put(event)

    def _open_after(self, seconds: float) -> None:
        timer = threading.Timer(seconds, self.open)
        timer.daemon = True
        timer.start()
