"""How pipelines use the server's other parts: analysis of flows that stream, and starting them as queries.

See `graph.ports` for what each class promises.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import cast

import pyarrow as pa

from riacho.errors import SparkError
from riacho.protos import pb
from riacho.server.catalog.base import TableName
from riacho.server.connect.pipeline_sinks import destination
from riacho.server.connect.relations import resolve
from riacho.server.connect.services import Services
from riacho.server.connect.session import ServerSession
from riacho.server.engine.base import ConnectSession, EngineSession
from riacho.server.graph.cdc.sink import CdcSink, CdcTarget
from riacho.server.graph.flow_sessions import ClonedSessions
from riacho.server.graph.ports import PipelineSession
from riacho.server.plan.facts import is_streaming
from riacho.server.streaming.context import StreamingContext
from riacho.server.streaming.planning import plan_stream
from riacho.server.streaming.progress import Progress
from riacho.server.streaming.quality import VIOLATED, Checks
from riacho.server.streaming.query import StreamingQuery
from riacho.server.streaming.query_status import Listener
from riacho.server.streaming.request import StartRequest
from riacho.server.streaming.sources.empty import EmptySource
from riacho.server.streaming.sources.once import OnceSource, leaf
from riacho.server.streaming.start import run
from riacho.server.streaming.trigger import AvailableNow, OnNews
from riacho.storage import Place


class FlowAnalyzer:
    """See `ports.Analyzer`."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def schema(self, relation: pb.Relation, session: PipelineSession, engine: EngineSession) -> pa.Schema:
        """See `ports.Analyzer`. Raises SparkError for a plan that the engine or a stream cannot run."""
        own = _with_engine(session, engine)
        resolved = resolve(own, relation)
        if is_streaming(resolved):
            make = self._services.make_source(own)
            resolved = plan_stream(resolved, own.views, lambda leaf: EmptySource.of(leaf) or make(leaf), engine).empty()
        return engine.schema(resolved)


class FlowStarter:
    """See `ports.StreamStarter`."""

    def __init__(self, services: Services, sessions: ClonedSessions) -> None:
        self._services = services
        self._sessions = sessions

    def start_flow(
        self,
        *,
        relation: pb.Relation,
        session: PipelineSession,
        table: TableName | None,
        sink_format: str,
        sink_options: Mapping[str, str],
        query_name: str,
        checkpoint: Place,
        conf: Mapping[str, str],
        output_mode: str = "append",
        on_batch: Callable[[Progress], None] | None = None,
        once: bool = False,
        checks: Checks | None = None,
        changes: CdcTarget | None = None,
        interval_ms: int | None = None,
    ) -> FlowQuery:
        engine = self._sessions.open(session.engine, conf)
        try:
            own = _with_engine(session, engine)
            resolved = resolve(own, relation)
            context = self._services.streaming(own)
            if once:
                source = OnceSource.of(resolved, engine)
                resolved = leaf()
                context = replace(context, make_source=lambda _: source)
            to = destination(table, sink_format, sink_options)
            to["options"] = {**to["options"], "checkpointlocation": str(checkpoint)}
            request = StartRequest(
                relation=resolved,
                trigger=AvailableNow() if interval_ms is None else OnNews(interval_ms),
                output_mode=output_mode,
                name=query_name,
                shared=True,
                **to,
                checks=checks,
                make_sink=None if changes is None else partial(_changing, changes),
            )
            return FlowQuery(run(context, request, Listener(on_batch=on_batch)))
        finally:
            # The query has a clone of its own.
            self._sessions.close(session.engine, engine)


def _changing(target: CdcTarget, context: StreamingContext) -> CdcSink:
    return CdcSink(target, context.catalog, context.clock, context.housekeeper)


class FlowQuery:
    """See `ports.RunningFlow`."""

    def __init__(self, query: StreamingQuery) -> None:
        self._query = query

    @property
    def batches(self) -> int:
        return self._query.batches

    @property
    def waits_for_data(self) -> bool:
        return self._query.waits_for_data

    def await_termination(self, timeout_s: float) -> bool:
        # The failure is asked for by `exception`; here it only means that the query has ended.
        with suppress(SparkError):
            return self._query.await_termination(timeout_s)
        return True

    def exception(self) -> SparkError | None:
        cause = self._query.cause
        # Of rows that broke a rule, what is wrong with them is all there is to say.
        return cause if cause is not None and cause.condition == VIOLATED else self._query.failure

    def stop(self) -> None:
        self._query.stop()


def _with_engine(session: PipelineSession, engine: EngineSession) -> ServerSession:
    """The client's session as a flow sees it: the same views and names, another engine session where confs differ."""
    own = cast("ServerSession", session)
    return own if engine is own.engine else replace(own, engine=cast("ConnectSession", engine))
