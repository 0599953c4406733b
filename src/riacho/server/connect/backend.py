"""What answers behind the port: every part of riacho, put together."""

from __future__ import annotations

import logging
import threading

from riacho.clock import SystemClock
from riacho.server.batch import python_source
from riacho.server.batch.delta_reads import DeltaReads
from riacho.server.batch.file_reads import FileReads
from riacho.server.batch.format_names import FormatNames
from riacho.server.batch.own_reads import OwnReads
from riacho.server.batch.time_travel import TimeTravel
from riacho.server.catalog.connector_places import ConnectorPlaces
from riacho.server.catalog.reads import CatalogReads
from riacho.server.catalog.registry import SessionRegistry
from riacho.server.catalog.warehouse import WarehouseCatalog
from riacho.server.catalog.write import TableWrites
from riacho.server.catalog.zoned_reads import ZonedReads
from riacho.server.connect.flows import FlowAnalyzer, FlowStarter
from riacho.server.connect.handlers.interrupt import end_session
from riacho.server.connect.operations import Operations
from riacho.server.connect.service import ConnectService
from riacho.server.connect.services import Services
from riacho.server.connect.session import Sessions
from riacho.server.connect.status import ErrorLog
from riacho.server.delta.maintenance import Housekeeper
from riacho.server.engine.sail.child import EngineChild
from riacho.server.engine.sail.engine import SailEngine
from riacho.server.graph.flow_sessions import ClonedSessions
from riacho.server.graph.materialized import DeltaTableWriter
from riacho.server.graph.service import PipelineService
from riacho.server.streaming.batch import QueryObserver
from riacho.server.streaming.manager import QueryManager
from riacho.server.streaming.query import StreamingQuery
from riacho.server.streaming.query_status import Listener
from riacho.server.streaming.request import StartRequest
from riacho.server.streaming.start import run
from riacho.server.workers import python_worker
from riacho.server.workers.sources import fork_server
from riacho.storage import Place

log = logging.getLogger("riacho")

SESSION_LIMIT_MS = 3_600_000
EXPIRY_INTERVAL_S = 60.0
FORCED_LIMIT_S = 1.0
HOUSEKEEPER_LIMIT_S = 2.0


class Backend:
    """The parts of a server over a warehouse folder. `service` is what gRPC calls.

    `engine` is the first process of the engine; `url` is where the server can be reached from this machine; `observer`
    watches every step of every query. To end it, stop its work, then the calls, then the engine.
    """

    def __init__(
        self, warehouse: Place, engine: EngineChild, url: str, *, observer: QueryObserver | None = None
    ) -> None:
        clock = SystemClock()
        catalog = WarehouseCatalog(warehouse)
        self._stopped = threading.Event()
        own_reads = OwnReads(python_source.lookup)
        self._engine = SailEngine(
            first=engine,
            before_call=SessionRegistry(catalog).sync,
            own_rows=own_reads,
            server_options=ConnectorPlaces(catalog).options,
            steps=(
                FormatNames(python_source.lookup).step,
                own_reads.step,
                CatalogReads(catalog).step,
                TimeTravel(catalog).step,
                FileReads(catalog).step,
                DeltaReads(catalog).step,
                ZonedReads(catalog).step,
            ),
        )
        self._services = Services(
            engine=self._engine,
            catalog=catalog,
            writes=TableWrites(catalog, clock),
            housekeeper=Housekeeper(clock=clock),
            queries=QueryManager(self._engine, clock, observer),
            sessions=Sessions(self._engine, clock),
            operations=Operations(),
            errors=ErrorLog(),
            clock=clock,
            connect_url=url,
        )
        flow_sessions = ClonedSessions(self._engine)
        self._services.pipelines = PipelineService(
            catalog=catalog,
            analyzer=FlowAnalyzer(self._services),
            streams=FlowStarter(self._services, flow_sessions),
            writer=DeltaTableWriter(catalog, clock, self._services.housekeeper.after_commit),
            sessions=flow_sessions,
            clock=clock,
            housekeeper=self._services.housekeeper,
        )
        self.service = ConnectService(self._services)
        threading.Thread(target=self._expire_sessions, name="riacho-sessions", daemon=True).start()

    @property
    def engine_pid(self) -> int:
        """The process id of the engine that serves now."""
        return self._engine.pid

    def start_query(self, session_id: str, request: StartRequest, listener: Listener | None = None) -> StreamingQuery:
        """Start a streaming query in process, in the session of that id; what a client's command does."""
        session = self._services.sessions.get("", session_id)
        return run(self._services.streaming(session), request, listener)

    def stop_work(self, limit_s: float) -> None:
        """Stop pipelines and queries, for at most about that long; calls are still answered, but start no query.

        A query that is busy for longer loses its engine and its worker, and what it does with them fails. One that is
        still busy then is left: its next start repeats the batch, as after any other end of the process.
        """
        self._stopped.set()
        services = self._services
        services.queries.close()
        services.pipelines.stop()
        if any(query.is_active for query in services.queries.stop_all(limit_s=limit_s)):
            self.stop_engine()
            for query in services.queries.stop_all(limit_s=FORCED_LIMIT_S):
                if not query.is_active:
                    continue
                log.warning(
                    "Query %s is still busy (%s) and is cut off; its next start repeats the batch.",
                    query.name or query.query_id,
                    query.status.message,
                )
        services.housekeeper.stop(HOUSEKEEPER_LIMIT_S)

    def stop_engine(self) -> None:
        """End the engine's process and the workers of users' functions. Calls fail from now on."""
        self._engine.stop()
        python_worker.kill_all()
        fork_server.kill_all()

    def _expire_sessions(self) -> None:
        """End sessions whose client has gone without a word. Like Spark, a running query alone keeps no session."""
        while not self._stopped.wait(EXPIRY_INTERVAL_S):
            for session in self._services.sessions.idle(SESSION_LIMIT_MS):
                running = self._services.operations.of_session(session.session_id)
                if not any(operation.attached for operation in running):
                    end_session(self._services, session)
