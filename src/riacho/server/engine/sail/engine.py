"""Sail as riacho's engine: a child process that is started, watched and replaced.

A process is replaced when it has died or its memory exceeds a limit (Sail keeps some memory for every SQL text that it
parses). The replacement takes new calls at once; the old process ends when its last call has ended, or after a time
limit.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import grpc

from riacho.errors import SparkGeneralError
from riacho.ids import SessionId, new_uuid
from riacho.protos import pb
from riacho.server.engine.base import EngineSession, OwnRows, ServerOptions, Step
from riacho.server.engine.sail.child import EngineChild
from riacho.server.engine.sail.preparation import Preparation
from riacho.server.engine.sail.process import EngineProcess
from riacho.server.engine.sail.session import INTERRUPT_LIMIT_S, SailSession
from riacho.server.engine.spool import FolderSpool, remove_leftovers

MEMORY_LIMIT_BYTES = 4 << 30
WATCH_INTERVAL_S = 2.0
RETIRE_TIMEOUT_S = 60.0


class SailEngine:
    """See `engine.base.Engine`. The first process is `first`, which may still be starting, or else one started here.

    `before_call` runs before each call of a session, for instance to register tables that others have created.
    `steps` are applied to every plan and statement, after those that the engine always needs (see `preparation`);
    `own_rows` replaces the reads that they mark, each time a plan goes to the engine.
    `memory_limit`: the process is replaced when its resident memory exceeds this many bytes.
    """

    def __init__(
        self,
        *,
        first: EngineChild | None = None,
        memory_limit: int = MEMORY_LIMIT_BYTES,
        log: Path | None = None,
        before_call: Callable[[SailSession], None] | None = None,
        steps: Sequence[Step] = (),
        own_rows: OwnRows | None = None,
        server_options: ServerOptions | None = None,
    ) -> None:
        self.before_call = before_call
        self._server_options = server_options
        self._preparation = Preparation(steps, own_rows)
        self._memory_limit = memory_limit
        self._log = log.open("ab") if log else None
        self._sessions: dict[tuple[str, SessionId], SailSession] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._process: EngineProcess | None = None
        self._epochs = 0
        remove_leftovers()
        self._start(first)
        self._watcher = threading.Thread(target=self._watch, name="riacho-engine-watch", daemon=True)
        self._watcher.start()

    @property
    def pid(self) -> int:
        """The id of the process that is serving now."""
        return self.current().child.pid

    def session(self, session_id: SessionId, user_id: str) -> SailSession:
        return self._session(session_id, user_id)

    def _session(self, session_id: SessionId, user_id: str, *, prepares: bool = True) -> SailSession:
        with self._lock:
            key = (user_id, session_id)
            if key not in self._sessions:
                self._sessions[key] = SailSession(
                    self,
                    session_id,
                    user_id,
                    self._prepare,
                    self._preparation,
                    prepares=prepares,
                    server_options=self._server_options,
                )
            return self._sessions[key]

    def clone(self, session: EngineSession, *, prepares: bool = True) -> SailSession:
        original = self.session(session.session_id, session.user_id)
        copy = self._session(SessionId(new_uuid()), session.user_id, prepares=prepares)
        copy.copy_journal(original)
        return copy

    def release(self, session_id: SessionId, user_id: str) -> None:
        with self._lock:
            session = self._sessions.pop((user_id, session_id), None)
            process = self._process
        if session is None:
            return
        session.released()
        if process is None or session.epoch != process.epoch:
            return
        interrupt = pb.InterruptRequest(session_id=session_id, interrupt_type=pb.InterruptRequest.INTERRUPT_TYPE_ALL)
        interrupt.user_context.user_id = user_id
        goodbye = pb.ReleaseSessionRequest(session_id=session_id)
        goodbye.user_context.user_id = user_id
        try:
            # Ending a session does not stop what it is running, so interrupt that first.
            process.call("Interrupt", interrupt.SerializeToString(), timeout_s=INTERRUPT_LIMIT_S)
            process.call("ReleaseSession", goodbye.SerializeToString(), timeout_s=INTERRUPT_LIMIT_S)
        except (grpc.RpcError, ValueError):
            # The process is gone, and the session with it (ValueError: this server has released the session).
            return

    def spool(self, name: str, *, memory_limit: int | None = None, zone: str = "UTC") -> FolderSpool:
        if memory_limit is None:
            return FolderSpool(name, zone=zone)
        return FolderSpool(name, memory_limit=memory_limit, zone=zone)

    def current(self) -> EngineProcess:
        """The process that serves new calls; a new one if the last has died.

        Raises SparkGeneralError while the server is shutting down.
        """
        with self._lock:
            if self._stopped.is_set():
                raise SparkGeneralError("The server is shutting down.")
            if self._process is None or not self._process.child.alive:
                self._start()
            assert self._process is not None
            return self._process

    def discard(self, process: EngineProcess) -> None:
        """Send `process` no more calls: one has just failed in a way that means the process is dead. Idempotent."""
        with self._lock:
            if self._process is not process:
                return
            self._process = None
        process.stop()

    def replace(self) -> None:
        """Let a new process take over; the old one ends in the background once its calls have ended."""
        with self._lock:
            old = self._process
            self._start()
        if old is not None:
            threading.Thread(target=old.retire, args=(RETIRE_TIMEOUT_S,), name="riacho-engine-retire").start()

    def stop(self) -> None:
        with self._lock:
            self._stopped.set()
            process, self._process = self._process, None
        if process is not None:
            process.stop()
        if self._log is not None:
            self._log.close()

    def _start(self, child: EngineChild | None = None) -> None:
        self._epochs += 1
        child = child or EngineChild(on_log=self._log.fileno() if self._log else None)
        self._process = EngineProcess(self._epochs, child)
        threading.Thread(target=_warm_up, args=(self._process,), name="riacho-engine-warm-up", daemon=True).start()

    def _prepare(self, session: SailSession) -> None:
        if self.before_call is not None:
            self.before_call(session)

    def _watch(self) -> None:
        while not self._stopped.wait(WATCH_INTERVAL_S):
            process = self._process
            if process is not None and process.child.alive and process.child.memory_bytes() > self._memory_limit:
                self.replace()


def _warm_up(process: EngineProcess) -> None:
    """Create a session and release it: the first takes a process a tenth of a second, later ones a hundredth."""
    session_id = new_uuid()
    hello = pb.ConfigRequest(session_id=session_id)
    hello.operation.get_all.SetInParent()
    goodbye = pb.ReleaseSessionRequest(session_id=session_id)
    # Whatever is wrong with the process, or happens to it now, is reported to the calls that need it.
    with suppress(grpc.RpcError, ValueError):
        process.call("Config", hello.SerializeToString())
        process.call("ReleaseSession", goodbye.SerializeToString())
