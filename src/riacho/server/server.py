"""The server: everything put together, started and stopped in order."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc

from riacho.catalog.maintenance import Housekeeper
from riacho.catalog.reads import CatalogReads
from riacho.catalog.registry import SessionRegistry
from riacho.catalog.warehouse import WarehouseCatalog
from riacho.catalog.write import TableWrites
from riacho.clock import Clock, SystemClock
from riacho.engine.sail import MEMORY_LIMIT_BYTES, SailEngine
from riacho.errors import SparkGeneralError
from riacho.pipelines.flow_sessions import ClonedSessions
from riacho.pipelines.materialized import DeltaTableWriter
from riacho.pipelines.service import PipelineService
from riacho.server.flows import FlowAnalyzer, FlowStarter
from riacho.server.handlers.interrupt import end_session
from riacho.server.operations import Operations
from riacho.server.service import ConnectService
from riacho.server.services import Services
from riacho.server.session import Sessions
from riacho.server.start import StartRequest, define
from riacho.server.status import ErrorLog
from riacho.streaming.batch import QueryObserver
from riacho.streaming.manager import QueryManager
from riacho.streaming.query import StreamingQuery

DEFAULT_PORT = 15002
# One thread per call under way; a client that waits for a query, or listens, holds one. They are made when needed.
MAX_CALLS = 1000
STOP_GRACE_S = 5.0
SESSION_LIMIT_MS = 3_600_000
EXPIRY_INTERVAL_S = 60.0
WAKE_S = 0.5
_OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.so_reuseport", 0),
    ("grpc.max_metadata_size", 64 << 10),
)


class RiachoServer:
    """A Spark Connect server over a warehouse folder, listening from construction until `stop`.

    `port` 0 takes a free one. `observer` watches every step of every query, for tests.
    Raises SparkGeneralError if the port is taken.
    """

    def __init__(
        self,
        warehouse: Path,
        *,
        host: str = "127.0.0.1",
        port: int = DEFAULT_PORT,
        engine_memory: int = MEMORY_LIMIT_BYTES,
        clock: Clock | None = None,
        observer: QueryObserver | None = None,
    ) -> None:
        clock = clock or SystemClock()
        self._stopped = threading.Event()
        self._grpc = grpc.server(ThreadPoolExecutor(MAX_CALLS, "riacho-call"), options=_OPTIONS)
        # The port first: when it is taken, nothing else has been started.
        self.port = _listen(self._grpc, host, port)
        self.url = f"sc://{'localhost' if host == '127.0.0.1' else host}:{self.port}"
        catalog = WarehouseCatalog(warehouse)
        self._engine = SailEngine(memory_limit=engine_memory, before_call=SessionRegistry(catalog).sync)
        self._housekeeper = Housekeeper(clock=clock)
        self._queries = QueryManager(self._engine, clock, observer)
        self._services = Services(
            engine=self._engine,
            catalog=catalog,
            writes=TableWrites(catalog, clock),
            housekeeper=self._housekeeper,
            queries=self._queries,
            sessions=Sessions(self._engine, clock, CatalogReads(catalog)),
            operations=Operations(),
            errors=ErrorLog(),
            clock=clock,
            connect_url=f"sc://127.0.0.1:{self.port}",
        )
        flow_sessions = ClonedSessions(self._engine)
        self._services.pipelines = PipelineService(
            catalog=catalog,
            analyzer=FlowAnalyzer(self._services),
            streams=FlowStarter(self._services, flow_sessions),
            writer=DeltaTableWriter(clock),
            sessions=flow_sessions,
            clock=clock,
        )
        self._grpc.add_generic_rpc_handlers((ConnectService(self._services),))
        self._grpc.start()
        threading.Thread(target=self._expire_sessions, name="riacho-sessions", daemon=True).start()

    def wait(self) -> None:
        """Serve until `stop` is called, from another thread or a signal handler."""
        # With a limit: Python runs signal handlers in the main thread, and a wait without one may not notice a signal.
        while not self._stopped.wait(WAKE_S):
            pass

    @property
    def engine_pid(self) -> int:
        """The process id of the engine that serves now."""
        return self._engine.pid

    def start_query(self, session_id: str, request: StartRequest) -> StreamingQuery:
        """Start a streaming query in process, in the session of that id; what a client's command does."""
        session = self._services.sessions.get("", session_id)
        return self._queries.start(define(self._services, session, request))

    def stop(self) -> None:
        """Stop the queries (their checkpoints are complete), then the calls, then the engine. Idempotent."""
        if self._stopped.is_set():
            return
        self._services.pipelines.stop()
        self._queries.stop_all()
        self._housekeeper.stop()
        self._grpc.stop(STOP_GRACE_S).wait()
        self._engine.stop()
        self._stopped.set()

    def _expire_sessions(self) -> None:
        """End sessions whose client has gone without a word. Like Spark, a running query alone keeps no session."""
        while not self._stopped.wait(EXPIRY_INTERVAL_S):
            for session in self._services.sessions.idle(SESSION_LIMIT_MS):
                running = self._services.operations.of_session(session.session_id)
                if not any(operation.attached for operation in running):
                    end_session(self._services, session)


def _listen(server: grpc.Server, host: str, port: int) -> int:
    try:
        bound = server.add_insecure_port(f"{host}:{port}")
    except RuntimeError:
        bound = 0
    if not bound:
        raise SparkGeneralError(
            f"Cannot listen on {host}:{port}: another program has that port, perhaps another riacho. Stop it, or "
            "choose another with --port (0 takes any free one)."
        )
    return bound
