"""All streaming queries of a server: start, find, wait for any, stop.

Queries belong to the session that started them. A query that has ended can still be asked about for an hour after it
was last asked about. Source: `StreamingQueryManager` and Connect's `SparkConnectStreamingQueryCache`.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from riacho.clock import Clock
from riacho.conf import STOP_ACTIVE_RUN
from riacho.errors import IllegalArgumentError, IllegalStateError, SparkGeneralError, StreamingQueryError
from riacho.ids import SessionId
from riacho.server.engine.base import Engine
from riacho.server.streaming.batch import NobodyWatches, QueryObserver
from riacho.server.streaming.definition import QueryDefinition
from riacho.server.streaming.query import STOP_TIMEOUT_S, StreamingQuery
from riacho.server.streaming.query_status import Listener

KEEP_ENDED_MS = 3_600_000


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
        self._closed = False
        self._changed = threading.Condition()

    def add(self, definition: QueryDefinition, listener: Listener | None = None) -> StreamingQuery:
        """A query that can be found from now on; whoever adds it lets it `begin`, or discards it.

        Raises IllegalArgumentError for a name that an active query of the session has, IllegalStateError if the same
        checkpoint is in use and `spark.sql.streaming.stopActiveRunOnRestart` is false (else that run is stopped), and
        SparkGeneralError once the server is about to end.
        """
        self.check_name(definition.owner, definition.name)
        query = StreamingQuery(
            definition, self._engine, self._clock, self._observer, listener or Listener(), self._on_end
        )
        self._make_way(query)
        with self._changed:
            self._check_name(definition.owner, definition.name)
            self._forget_old()
            self._entries[query.run_id] = _ManagedQuery(query, self._clock.now_ms())
        return query

    def start(self, definition: QueryDefinition, listener: Listener | None = None) -> StreamingQuery:
        """Add a query and let it run; one that is refused leaves no session. Raises what `add` and `begin` raise."""
        try:
            query = self.add(definition, listener)
        except BaseException:
            self._engine.release(definition.session.session_id, definition.session.user_id)
            raise
        self.begin(query)
        return query

    def begin(self, query: StreamingQuery) -> None:
        """Let a query run that was added. Raises RuntimeError if there is no thread for it; then it is discarded."""
        try:
            query.begin()
        except BaseException:
            self.discard(query)
            raise

    def discard(self, query: StreamingQuery) -> None:
        """Forget a query that was added and will not begin after all: as if it had never been. Idempotent."""
        with self._changed:
            self._entries.pop(query.run_id, None)
        query.abandon()

    def check_name(self, owner: SessionId, name: str | None) -> None:
        """Raises IllegalArgumentError if an active query of the session has that name; see `add` for the rest."""
        with self._changed:
            self._check_name(owner, name)

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

    def stop_all(self, owner: SessionId | None = None, limit_s: float = STOP_TIMEOUT_S) -> list[StreamingQuery]:
        """Stop the active queries of a session, or of all; those that were active.

        Takes no longer than `limit_s`: one that has not ended by then is active still.
        """
        stopping = self.active(owner)
        for query in stopping:
            query.ask_to_stop()
        deadline_ms = self._clock.monotonic_ms() + limit_s * 1000
        for query in stopping:
            query.wait_end(max(deadline_ms - self._clock.monotonic_ms(), 0) / 1000)
        return stopping

    def close(self) -> None:
        """Take no query any more: the server is about to end."""
        with self._changed:
            self._closed = True

    def _check_name(self, owner: SessionId, name: str | None) -> None:
        if self._closed:
            raise SparkGeneralError("The server is shutting down.")
        if name is None:
            return
        for query in (entry.query for entry in self._entries.values()):
            if query.is_active and query.name == name and query.definition.owner == owner:
                raise IllegalArgumentError(
                    f"Cannot start query with name {name} as a query with that name is already active in this "
                    "SparkSession"
                )

    def _make_way(self, query: StreamingQuery) -> None:
        """One checkpoint has one run: end another one, or refuse."""
        for other in self.active():
            if other.query_id != query.query_id:
                continue
            if not STOP_ACTIVE_RUN.of(query.definition.conf):
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
