"""All streaming queries of a server: start, find, wait for any, stop.

Queries belong to the session that started them. A query that has ended can still be asked about for an hour after it
was last asked about. Source: `StreamingQueryManager` and Connect's `SparkConnectStreamingQueryCache`.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from riacho.clock import Clock
from riacho.errors import IllegalArgumentError, IllegalStateError, StreamingQueryError
from riacho.ids import SessionId
from riacho.server.engine.base import Engine
from riacho.server.streaming.batch import NobodyWatches, QueryObserver
from riacho.server.streaming.definition import QueryDefinition
from riacho.server.streaming.query import StreamingQuery
from riacho.server.streaming.query_status import Listener

KEEP_ENDED_MS = 3_600_000
STOP_ACTIVE_RUN = "spark.sql.streaming.stopActiveRunOnRestart"


@dataclass
class _Session:
    """What is kept per session: did a query end since `resetTerminated`, and how did the last failed one die."""

    ended: int = 0
    failure: StreamingQueryError | None = None


@dataclass
class _ManagedQuery:
    query: StreamingQuery
    asked_ms: int = field(default=0)


class QueryManager:
    """See the module. `observer` watches the steps of every query; tests use it to stop one half way."""

    def __init__(self, engine: Engine, clock: Clock, observer: QueryObserver | None = None) -> None:
        self._engine = engine
        self._clock = clock
        self._observer = observer or NobodyWatches()
        self._entries: dict[str, _ManagedQuery] = {}
        self._sessions: dict[SessionId, _Session] = {}
        self._changed = threading.Condition()

    def start(self, definition: QueryDefinition, listener: Listener | None = None) -> StreamingQuery:
        """Start a query. Raises what `add` raises."""
        query = self.add(definition, listener)
        query.start()
        return query

    def add(self, definition: QueryDefinition, listener: Listener | None = None) -> StreamingQuery:
        """A query that can be found from now on; whoever adds it starts it. One that is refused leaves no session.

        Raises IllegalArgumentError for a name that an active query of the session has, IllegalStateError if the same
        checkpoint is in use and `spark.sql.streaming.stopActiveRunOnRestart` is false (else that run is stopped).
        """
        try:
            return self._add(definition, listener or Listener())
        except BaseException:
            self._engine.release(definition.session.session_id, definition.session.user_id)
            raise

    def active(self, owner: SessionId | None = None) -> list[StreamingQuery]:
        """The active queries of a session, or of all."""
        with self._changed:
            entries = list(self._entries.values())
        return [
            entry.query for entry in entries if entry.query.is_active and owner in {None, entry.query.definition.owner}
        ]

    def find(self, owner: SessionId, query_id: str, run_id: str) -> StreamingQuery:
        """A query of the session, active or ended within the hour. Raises IllegalArgumentError if there is none."""
        with self._changed:
            entry = self._entries.get(run_id)
            same_id = [e for e in self._entries.values() if e.query.query_id == query_id]
            if entry is None or entry.query.definition.owner != owner or entry.query.query_id != query_id:
                if any(e.query.definition.owner == owner for e in same_id):
                    raise IllegalArgumentError(
                        f"Run id mismatch for query id {query_id}. Run id in the request {run_id}"
                    )
                raise IllegalArgumentError(f"Streaming query {query_id} is not found")
            entry.asked_ms = self._clock.now_ms()
            return entry.query

    def await_any(self, owner: SessionId, timeout_s: float | None) -> bool:
        """Wait until any query of the session has ended since the last reset. Raises the failure, if there was one."""
        with self._changed:
            session = self._sessions.setdefault(owner, _Session())
            ended = self._changed.wait_for(lambda: session.ended > 0, timeout_s)
            if session.failure is not None:
                raise session.failure
            return ended

    def reset_terminated(self, owner: SessionId) -> None:
        """Forget which queries have ended, so that `await_any` waits again."""
        with self._changed:
            self._sessions[owner] = _Session()

    def stop_all(self, owner: SessionId | None = None) -> list[StreamingQuery]:
        """Stop the active queries of a session, or of all; those that were active."""
        stopping = self.active(owner)
        for query in stopping:
            query.ask_to_stop()
        for query in stopping:
            query.stop()
        return stopping

    def _add(self, definition: QueryDefinition, listener: Listener) -> StreamingQuery:
        with self._changed:
            self._check_name(definition)
        query = StreamingQuery(definition, self._engine, self._clock, self._observer, listener, self._on_end)
        self._make_way(query)
        with self._changed:
            self._check_name(definition)
            self._forget_old()
            self._entries[query.run_id] = _ManagedQuery(query, self._clock.now_ms())
        return query

    def _check_name(self, definition: QueryDefinition) -> None:
        if definition.name is None:
            return
        for query in (entry.query for entry in self._entries.values()):
            if query.is_active and query.name == definition.name and query.definition.owner == definition.owner:
                raise IllegalArgumentError(
                    f"Cannot start query with name {definition.name} as a query with that name is already active in "
                    "this SparkSession"
                )

    def _make_way(self, query: StreamingQuery) -> None:
        """One checkpoint has one run: end another one, or refuse."""
        for other in self.active():
            if other.query_id != query.query_id:
                continue
            if query.definition.conf.get(STOP_ACTIVE_RUN, "true").lower() == "false":
                raise IllegalStateError(
                    f"Cannot start query with id {query.query_id} as another query with same id is already active. "
                    "Perhaps you are attempting to restart a query from checkpoint that is already active."
                )
            other.stop()

    def _forget_old(self) -> None:
        now_ms = self._clock.now_ms()
        old = [
            run_id
            for run_id, entry in self._entries.items()
            if not entry.query.is_active and now_ms - entry.asked_ms > KEEP_ENDED_MS
        ]
        for run_id in old:
            del self._entries[run_id]

    def _on_end(self, query: StreamingQuery) -> None:
        with self._changed:
            session = self._sessions.setdefault(query.definition.owner, _Session())
            session.ended += 1
            session.failure = query.failure or session.failure
            self._changed.notify_all()
