"""A client's session on the server: what riacho itself must know of it, beside what the engine knows."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from queue import SimpleQueue

from riacho.clock import Clock
from riacho.errors import EngineLost, SparkError, SparkGeneralError
from riacho.identifiers import quote
from riacho.ids import SessionId, new_uuid
from riacho.protos import pb
from riacho.server.connect.kept_rows import KeptRows
from riacho.server.engine.base import GLOBAL, ConnectEngine, ConnectSession
from riacho.server.plan.facts import is_streaming
from riacho.server.plan.names_read import names_read

log = logging.getLogger("riacho")

RELEASED_TO_KEEP = 1000
HIDDEN_PREFIX = "__riacho_"
ALL_SESSIONS = "all sessions"
"""Who owns the views of `global_temp`."""


@dataclass
class ListenerBus:
    """The open stream of a session's listener bus: events wait here until it sends them; None closes it."""

    events: SimpleQueue[tuple[str, int] | None] = field(default_factory=SimpleQueue)


@dataclass
class ServerSession:
    """One client session. `server_side_id` is what clients compare to see that it is still the same one.

    `views` are all temporary views by lower-case name (those that all sessions see: `global_temp.name`), as the
    relations they were made from; `kept` holds rows that they read. `relations` are those that only this server
    knows, by the id a client has for them (foreachBatch). `listener_bus` is there while it is open. `seen_ms` is when
    its client last asked for something.
    """

    session_id: SessionId
    user_id: str
    engine: ConnectSession
    server_side_id: str = field(default_factory=new_uuid)
    views: dict[str, pb.Relation] = field(default_factory=dict)
    relations: dict[str, pb.Relation] = field(default_factory=dict)
    listener_bus: ListenerBus | None = None
    seen_ms: int = 0
    kept: KeptRows = field(default_factory=KeptRows)
    _own_views: set[str] = field(default_factory=set)

    @property
    def current_database(self) -> str:
        """The database that names without one mean."""
        return self.engine.current_database

    @current_database.setter
    def current_database(self, name: str) -> None:
        self.engine.use(name)

    def add_view(self, name: str, relation: pb.Relation, *, own: bool = False) -> None:
        """Keep a temporary view. The engine does not know those that stream, nor those that are `own`."""
        key = name.lower()
        self.views[key] = relation
        if own or is_streaming(relation) or self.reads_own_view(relation):
            self._own_views.add(key)
        else:
            self._own_views.discard(key)
        shared = key.startswith(GLOBAL)
        self.kept.note(ALL_SESSIONS if shared else self.session_id, key, relation, (self.session_id, ALL_SESSIONS))

    def drop_view(self, name: str) -> bool:
        """Forget a temporary view; whether it was there."""
        key = name.lower()
        self._own_views.discard(key)
        self.kept.forget(ALL_SESSIONS if key.startswith(GLOBAL) else self.session_id, key)
        return self.views.pop(key, None) is not None

    def show_view(self, name: str, relation: pb.Relation, columns: list[str]) -> None:
        """Make or replace the view `name`, which shows `relation` under the names `columns`, of which two may be equal.

        Views that were made of it are made anew, for the engine's are what their origin was when they were made.
        Called from a query's thread.
        """
        alike = len(set(columns)) < len(columns)
        known = f"{HIDDEN_PREFIX}{name}" if alike else name
        self.engine.create_view(known, relation)
        shown = pb.Relation()
        shown.read.named_table.unparsed_identifier = quote(known)
        if alike:
            shown = pb.Relation(to_df=pb.ToDF(input=shown, column_names=columns))
        self.add_view(name, shown, own=alike)
        self._renew_views(name)

    def _renew_views(self, origin: str) -> None:
        stale = {origin.lower(), f"{HIDDEN_PREFIX}{origin}".lower()}
        for key, relation in list(self.views.items()):
            if key in stale or key in self._own_views:
                continue
            if names_read(relation).isdisjoint(stale):
                continue
            stale.add(key)
            try:
                self.engine.create_view(key, relation)
            except (SparkError, EngineLost) as error:
                log.warning("session %s: view %s could not be brought up to date: %s", self.session_id, key, error)

    @property
    def temporary_views(self) -> frozenset[str]:
        """The names of all temporary views, in lower case, those of memory sinks too."""
        shown = {name for name in self.engine.views if not name.startswith(HIDDEN_PREFIX)}
        return frozenset(shown | self.views.keys())

    @property
    def own_views(self) -> frozenset[str]:
        """The names, in lower case, of the views that the engine cannot know: they stream, or have columns alike."""
        return frozenset(self._own_views)

    def reads_own_view(self, relation: pb.Relation) -> bool:
        """Whether a plan names one of the views that the engine does not know (in its bytes: certain if False)."""
        if not self._own_views:
            return False
        text = relation.SerializeToString().lower()
        return any(name.encode() in text for name in self._own_views)


class Sessions:
    """All sessions of a server, by user and id."""

    def __init__(self, engine: ConnectEngine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._sessions: dict[tuple[str, SessionId], ServerSession] = {}
        self._released: OrderedDict[tuple[str, SessionId], None] = OrderedDict()
        self._kept = KeptRows()
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[ServerSession]:
        with self._lock:
            return iter(list(self._sessions.values()))

    def get(self, user_id: str, session_id: str, observed: str = "") -> ServerSession:
        """The session of that identity, made on first use.

        `observed` is the server-side id that the client saw before. Raises INVALID_HANDLE.SESSION_CLOSED if the session
        was released, INVALID_HANDLE.SESSION_CHANGED if it is another one now (the server was restarted).
        """
        key = (user_id, SessionId(session_id))
        with self._lock:
            if key in self._released:
                raise _invalid(session_id, "SESSION_CLOSED", "Session was closed.")
            session = self._sessions.get(key)
            if session is None:
                if observed:
                    raise _changed(session_id)
                engine = self._engine.session(key[1], user_id)
                session = ServerSession(key[1], user_id, engine, kept=self._kept)
                self._sessions[key] = session
        if observed and observed != session.server_side_id:
            raise _changed(session_id)
        session.seen_ms = self._clock.now_ms()
        return session

    def idle(self, limit_ms: int) -> list[ServerSession]:
        """The sessions whose client has asked for nothing for so long."""
        since_ms = self._clock.now_ms() - limit_ms
        return [session for session in self if session.seen_ms < since_ms]

    def find(self, user_id: str, session_id: str) -> ServerSession | None:
        with self._lock:
            return self._sessions.get((user_id, SessionId(session_id)))

    def release(self, user_id: str, session_id: str) -> ServerSession | None:
        """Forget a session; its id is not taken again. The session, if there was one."""
        key = (user_id, SessionId(session_id))
        with self._lock:
            session = self._sessions.pop(key, None)
            self._released[key] = None
            while len(self._released) > RELEASED_TO_KEEP:
                self._released.popitem(last=False)
        if session is not None:
            self._engine.release(key[1], user_id)
            self._kept.forget(key[1])
        return session


def _invalid(session_id: str, kind: str, text: str) -> SparkGeneralError:
    return SparkGeneralError.of(
        f"INVALID_HANDLE.{kind}", f"The handle {session_id} is invalid. {text}", sql_state="HY000", handle=session_id
    )


def _changed(session_id: str) -> SparkGeneralError:
    return _invalid(
        session_id,
        "SESSION_CHANGED",
        "The existing Spark server driver instance has restarted. Please reconnect.",
    )
