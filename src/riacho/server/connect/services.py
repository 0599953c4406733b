"""What the handlers of a server work with, put together once by `backend.py`."""

from __future__ import annotations

from dataclasses import dataclass

from riacho.clock import Clock
from riacho.server.batch.write_context import WriteContext
from riacho.server.catalog.warehouse import WarehouseCatalog
from riacho.server.catalog.write import TableWrites
from riacho.server.connect.operations import Operations
from riacho.server.connect.session import ServerSession, Sessions
from riacho.server.connect.status import ErrorLog
from riacho.server.delta.maintenance import Housekeeper
from riacho.server.engine.base import ConnectEngine
from riacho.server.graph.service import PipelineService
from riacho.server.streaming.context import StreamingContext
from riacho.server.streaming.manager import QueryManager
from riacho.server.streaming.planning import MakeSource
from riacho.server.streaming.sources.registry import make_source


@dataclass
class Services:
    """`connect_url` is where the server can be reached from this machine, for workers that connect back."""

    engine: ConnectEngine
    catalog: WarehouseCatalog
    writes: TableWrites
    housekeeper: Housekeeper
    queries: QueryManager
    sessions: Sessions
    operations: Operations
    errors: ErrorLog
    clock: Clock
    connect_url: str = ""
    _pipelines: PipelineService | None = None

    @property
    def pipelines(self) -> PipelineService:
        """Set once, by the server: pipelines use the other services, so they come last."""
        assert self._pipelines is not None
        return self._pipelines

    @pipelines.setter
    def pipelines(self, service: PipelineService) -> None:
        self._pipelines = service

    def streaming(self, session: ServerSession) -> StreamingContext:
        """What a start of a query of that session works with."""
        return StreamingContext(
            engine=self.engine,
            catalog=self.catalog,
            housekeeper=self.housekeeper,
            queries=self.queries,
            clock=self.clock,
            connect_url=f"{self.connect_url}/;user_id={session.user_id}",
            owner=session.session_id,
            session=session.engine,
            views=session.views,
            relations=session.relations,
            show_view=session.show_view,
            database=session.current_database,
            make_source=self.make_source(session),
        )

    def writing(self, session: ServerSession) -> WriteContext:
        """What a batch write of that session works with."""
        return WriteContext(
            session=session.engine,
            catalog=self.catalog,
            clock=self.clock,
            owner=session.session_id,
            connect_url=f"{self.connect_url}/;user_id={session.user_id}",
            database=session.current_database,
        )

    def make_source(self, session: ServerSession) -> MakeSource:
        """What makes the sources of this session's streaming plans."""
        return lambda leaf: make_source(leaf, session.engine, self.catalog, session.current_database)
