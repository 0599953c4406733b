"""Pipelines as a server offers them: graphs by session, and one method for each pipeline command.

Source: Spark's `PipelinesHandler`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import pyarrow as pa

from riacho import types
from riacho.clock import Clock
from riacho.conf import SOURCES_DEFAULT
from riacho.errors import AnalysisError, IllegalArgumentError, SparkError, UnsupportedOperationError
from riacho.ids import SessionId, new_uuid
from riacho.protos import pb
from riacho.server.catalog.base import CATALOG_NAME, Catalog
from riacho.server.catalog.failures import schema_not_found
from riacho.server.delta.maintenance import Housekeeper
from riacho.server.graph import definition_events, elements, events, expectations, failures, names
from riacho.server.graph.cdc import snapshot_flow
from riacho.server.graph.cdc.definition import AutoCdc, from_proto
from riacho.server.graph.claims import Claims
from riacho.server.graph.events import PipelineEvent
from riacho.server.graph.explain import explain
from riacho.server.graph.failures import UnresolvedPipelineError
from riacho.server.graph.graph import DataflowGraph
from riacho.server.graph.names import CurrentNamespace, Identifier
from riacho.server.graph.ports import Analyzer, FlowSessions, PipelineSession, StreamStarter, TableWriter
from riacho.server.graph.replay.request import ReplayRequest
from riacho.server.graph.replay.run import ReplayExecution
from riacho.server.graph.resolve import Resolution, resolve
from riacho.server.graph.runner import PipelineExecution, UpdateContext
from riacho.server.graph.schema_locations import with_schema_locations
from riacho.server.graph.selection import TableSelection
from riacho.server.graph.settings import PipelineSettings
from riacho.server.graph.sql.register import register
from riacho.server.graph.stages import Stage, decide
from riacho.server.graph.storage import Storage
from riacho.server.graph.update_log import UpdateLog, UpdateLogs
from riacho.server.graph.validate import validate
from riacho.server.streaming.quality import Expectation

_log = logging.getLogger(__name__)

STOP_LIMIT_S = 30.0
"""How long the end of a session waits for its runs."""

Reply = pb.PipelineEventResult | pb.PipelineCommandResult

_TABLE_KINDS = {
    pb.OutputType.TABLE: elements.TableKind.STREAMING_TABLE,
    pb.OutputType.MATERIALIZED_VIEW: elements.TableKind.MATERIALIZED_VIEW,
}


@dataclass
class _SessionGraphs:
    """The graphs of one session, and the runs that are under way, both by graph id."""

    graphs: dict[str, DataflowGraph] = field(default_factory=dict)
    runs: dict[str, PipelineExecution | ReplayExecution] = field(default_factory=dict)


class PipelineService:
    """See the module. One per server; methods may be called from any thread."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        analyzer: Analyzer,
        streams: StreamStarter,
        writer: TableWriter,
        sessions: FlowSessions,
        clock: Clock,
        housekeeper: Housekeeper | None = None,
    ) -> None:
        self._catalog = catalog
        self._analyzer = analyzer
        self._sessions = sessions
        self._tools = UpdateContext(catalog=catalog, writer=writer, streams=streams, sessions=sessions, clock=clock)
        self._updates = UpdateLogs(catalog, clock, housekeeper)
        self._by_session: dict[SessionId, _SessionGraphs] = {}
        self._claims = Claims()
        self._lock = threading.Lock()

    def handle(self, command: pb.PipelineCommand, session: PipelineSession) -> Iterator[Reply | None]:
        """Answer a command: events while a run goes on, then always one result. Raises SparkError.

        None comes now and then while nothing happens, so that its caller can look up.
        """
        kind = command.WhichOneof("command_type")
        match kind:
            case "create_dataflow_graph":
                yield self._create(command.create_dataflow_graph, session)
            case "drop_dataflow_graph":
                self._drop(command.drop_dataflow_graph.dataflow_graph_id, session)
                yield pb.PipelineCommandResult()
            case "define_output":
                yield self._define_output(command.define_output, session)
            case "define_flow":
                yield self._define_flow(command.define_flow, session)
            case "define_sql_graph_elements":
                self._define_sql(command.define_sql_graph_elements, session)
                yield pb.PipelineCommandResult()
            case "start_run":
                for event in self._start_run(command.start_run, session):
                    yield None if event is None else event.to_proto()
                yield pb.PipelineCommandResult()
            case _:
                raise UnsupportedOperationError(f"{(kind or 'COMMANDTYPE_NOT_SET').upper()} not supported")

    def end_session(self, session_id: SessionId) -> None:
        """Stop what the session runs, wait for it, no longer than the limit, and forget the session's graphs."""
        with self._lock:
            left = self._by_session.pop(session_id, None)
        if left is None:
            return
        for run in list(left.runs.values()):
            run.stop()
        for run in list(left.runs.values()):
            if isinstance(run, PipelineExecution) and not run.wait_end(STOP_LIMIT_S):
                _log.warning("a run of session %s has not ended after %.0f s", session_id, STOP_LIMIT_S)

    def stop(self) -> None:
        """Stop all runs."""
        with self._lock:
            session_ids = list(self._by_session)
        for session_id in session_ids:
            self.end_session(session_id)

    def _create(self, command: pb.PipelineCommand.CreateDataflowGraph, session: PipelineSession) -> Reply:
        has = command.HasField
        catalog = command.default_catalog if has("default_catalog") else CATALOG_NAME
        database = command.default_database if has("default_database") else session.current_database
        if catalog != CATALOG_NAME:
            raise AnalysisError.of(
                "CATALOG_NOT_FOUND",
                f"The catalog `{catalog}` not found. riacho has one catalog, `{CATALOG_NAME}`.",
                sql_state="42P08",
                catalogName=f"`{catalog}`",
            )
        if database.lower() not in self._catalog.databases():
            raise schema_not_found(database)
        graph = DataflowGraph(new_uuid(), CurrentNamespace(catalog, database), dict(command.sql_conf))
        session.current_database = database.lower()  # as Spark: the session's unqualified names now mean the pipeline's
        self._of(session).graphs[graph.graph_id] = graph
        result = pb.PipelineCommandResult()
        result.create_dataflow_graph_result.dataflow_graph_id = graph.graph_id
        return result

    def _drop(self, graph_id: str, session: PipelineSession) -> None:
        self._graph(graph_id, session)
        known = self._of(session)
        known.graphs.pop(graph_id, None)
        run = known.runs.get(graph_id)
        if run is not None:
            run.stop()

    def _of(self, session: PipelineSession) -> _SessionGraphs:
        with self._lock:
            return self._by_session.setdefault(session.session_id, _SessionGraphs())

    def _graph(self, graph_id: str, session: PipelineSession) -> DataflowGraph:
        graph = self._of(session).graphs.get(graph_id)
        if graph is None:
            raise failures.graph_not_found(graph_id)
        return graph

    def _define_output(self, command: pb.PipelineCommand.DefineOutput, session: PipelineSession) -> Reply:
        graph = self._graph(command.dataflow_graph_id, session)
        name = names.parse(command.output_name)
        comment = command.comment if command.HasField("comment") else None
        output: elements.Output
        match command.output_type:
            case pb.OutputType.TABLE | pb.OutputType.MATERIALIZED_VIEW:
                output = self._table(command, graph.scope.qualify(name), session)
            case pb.OutputType.TEMPORARY_VIEW:
                if not name.is_single:
                    raise failures.multipart_view_name(name)
                output = elements.TemporaryView(name, comment)
            case pb.OutputType.SINK:
                if not name.is_single:
                    raise failures.multipart_sink_name(name)
                details = command.sink_details
                output = elements.PipelineSink(name, details.format, dict(details.options))
            case other:
                raise IllegalArgumentError(f"Unknown output type: {pb.OutputType.Name(other)}")
        if not _is_for_others(output, graph):
            graph.add_output(output)
        result = pb.PipelineCommandResult()
        _fill(result.define_output_result.resolved_identifier, output.identifier)
        return result

    @staticmethod
    def _table(
        command: pb.PipelineCommand.DefineOutput, name: Identifier, session: PipelineSession
    ) -> elements.PipelineTable:
        details = command.table_details
        properties = dict(details.table_properties)
        rules = expectations.told(properties.pop(expectations.PROPERTY, ""))
        schema: pa.Schema | None = None
        match details.WhichOneof("schema"):
            case "schema_data_type":
                schema = types.schema_from_proto(details.schema_data_type)
            case "schema_string":
                schema = session.engine.parse_ddl(details.schema_string)
        return elements.PipelineTable(
            identifier=name,
            kind=_TABLE_KINDS[command.output_type],
            schema=schema,
            format=details.format if details.HasField("format") else None,
            partition_by=tuple(details.partition_cols),
            cluster_by=tuple(details.clustering_columns),
            comment=command.comment if command.HasField("comment") else None,
            properties=properties,
            expectations=rules,
        )

    def _define_flow(self, command: pb.PipelineCommand.DefineFlow, session: PipelineSession) -> Reply:
        graph = self._graph(command.dataflow_graph_id, session)
        rules: tuple[Expectation, ...] = ()
        cdc: AutoCdc | None = None
        snapshots = snapshot_flow.sent(command)
        match command.WhichOneof("details"):
            case "extension" if snapshots is not None:
                relation, cdc = self._snapshots(snapshots, names.parse(command.target_dataset_name), graph)
            case "auto_cdc_flow_details" | "extension":
                cdc = from_proto(command)
                relation = cdc.source_read
            case "relation_flow_details":
                relation = command.relation_flow_details.relation
            case _:
                raise UnsupportedOperationError("DETAILS_NOT_SET not supported")
        name, target = self._flow_names(command, graph)
        if not expectations.is_hint(relation, expectations.ONLY_ELSEWHERE) or graph.has_output(target):
            relation, rules = expectations.lifted(relation)
            conf = dict(command.sql_conf)
            graph.add_flow(elements.Flow(name, target, relation, graph.scope, conf, command.once, rules, cdc))
        result = pb.PipelineCommandResult()
        _fill(result.define_flow_result.resolved_identifier, name)
        return result

    def _snapshots(
        self, relation: pb.Relation, target: Identifier, graph: DataflowGraph
    ) -> tuple[pb.Relation, AutoCdc]:
        def columns_of(name: Identifier) -> pa.Schema | None:
            table = self._catalog.table(graph.scope.qualify(name).table_name)
            return None if table is None else table.schema

        return snapshot_flow.from_hint(relation, target, columns_of)

    @staticmethod
    def _flow_names(command: pb.PipelineCommand.DefineFlow, graph: DataflowGraph) -> tuple[Identifier, Identifier]:
        """The full names of a flow and its target. Those of sinks and temporary views stay as they are."""
        name, target = names.parse(command.flow_name), names.parse(command.target_dataset_name)
        is_default = command.flow_name == command.target_dataset_name
        if not is_default and not name.is_single:
            raise failures.multipart_flow_name(name)
        if graph.is_sink(target) or (is_default and graph.is_temporary_view(target)):
            return name, target
        return graph.scope.qualify(name), graph.scope.qualify(target)

    def _define_sql(self, command: pb.PipelineCommand.DefineSqlGraphElements, session: PipelineSession) -> None:
        register(
            command.sql_text,
            file=command.sql_file_path,
            graph=self._graph(command.dataflow_graph_id, session),
            parse_columns=session.engine.parse_ddl,
        )

    def _start_run(
        self, command: pb.PipelineCommand.StartRun, session: PipelineSession
    ) -> Iterator[PipelineEvent | None]:
        graph = self._graph(command.dataflow_graph_id, session)
        selection = TableSelection.of(command, graph.scope)
        storage = Storage.at(command.storage)
        settings = PipelineSettings.read(session.engine.get_conf, graph.conf)
        if command.dry:
            yield from self._dry_run(graph, selection, storage, session)
            return
        with self._updates.log_of(graph, storage, session.engine) as log:
            log.record(definition_events.created(log.update_id, selection, storage=str(storage.root), user=log.user_id))
            yield from self._run(graph, selection, storage, settings, session, log)

    def _dry_run(
        self, graph: DataflowGraph, selection: TableSelection, storage: Storage, session: PipelineSession
    ) -> Iterator[PipelineEvent]:
        """Check a pipeline. Nothing is changed, so nothing is logged either."""
        try:
            resolution = self._resolve(graph, session, storage)
        except UnresolvedPipelineError as error:
            yield from self._failures(error)
            raise
        replay = ReplayRequest.of(graph.conf, graph.scope)
        if replay is not None:
            yield from self._replay(graph, session, resolution, replay, dry=True)
            return
        self._log_stages(graph, resolution, selection, storage, session)
        yield events.run_completed().at(self._tools.clock.now_ms())

    def _run(
        self,
        graph: DataflowGraph,
        selection: TableSelection,
        storage: Storage,
        settings: PipelineSettings,
        session: PipelineSession,
        log: UpdateLog,
    ) -> Iterator[PipelineEvent | None]:
        try:
            resolution = self._resolve(graph, session, storage)
        except UnresolvedPipelineError as error:
            for event in self._failures(error):
                log.record(event)
                yield event
            raise
        log.record_all(definition_events.graph_created(resolution))
        replay = ReplayRequest.of(graph.conf, graph.scope)
        if replay is not None:
            for event in self._replay(graph, session, resolution, replay, dry=False):
                log.record(event)
                yield event
            return
        run = PipelineExecution(resolution, session, self._tools, settings, log)
        with self._under_way(graph, session, run):
            planned = self._decide(resolution, selection, storage, session)
            _log.info("run of graph %s:\n%s", graph.graph_id, explain(planned))
            tables = [table.identifier for table in resolution.definition.tables]
            with self._claims.of(planned, run), log.watching(tables):
                log.record(events.update("RUNNING", f"Update {log.update_id} is RUNNING."))
                yield from run.events(planned)

    def _replay(
        self,
        graph: DataflowGraph,
        session: PipelineSession,
        resolution: Resolution,
        request: ReplayRequest,
        *,
        dry: bool,
    ) -> Iterator[PipelineEvent]:
        """Put quarantined rows through the rules that the graph has now, instead of running its flows."""
        tools = self._tools
        run = ReplayExecution(resolution, request, session, tools.catalog, tools.sessions, tools.clock, dry=dry)
        with self._under_way(graph, session, run):
            yield from run.events()

    def _decide(
        self, resolution: Resolution, selection: TableSelection, storage: Storage, session: PipelineSession
    ) -> list[Stage]:
        return decide(resolution, selection, self._catalog, storage, SOURCES_DEFAULT.read(session.engine.get_conf))

    @contextmanager
    def _under_way(
        self, graph: DataflowGraph, session: PipelineSession, run: PipelineExecution | ReplayExecution
    ) -> Iterator[None]:
        """Note that a run goes on in the block. Raises SPARK_CONNECT_ILLEGAL_STATE if one does already."""
        runs = self._of(session).runs
        with self._lock:
            if graph.graph_id in runs:
                raise failures.graph_is_running(graph.graph_id)
            runs[graph.graph_id] = run
        try:
            yield
        finally:
            run.stop()
            del runs[graph.graph_id]

    def _resolve(self, graph: DataflowGraph, session: PipelineSession, storage: Storage) -> Resolution:
        def analyze(relation: pb.Relation, conf: Mapping[str, str]) -> pa.Schema:
            engine = self._sessions.open(session.engine, conf)
            try:
                return self._analyzer.schema(relation, session, engine)
            finally:
                self._sessions.close(session.engine, engine)

        definition = graph.definition()
        flows = {name: with_schema_locations(flow, storage.root) for name, flow in definition.flows.items()}
        resolution = resolve(replace(definition, flows=flows), analyze, session.engine.get_conf)
        validate(resolution)
        return resolution

    def _failures(self, error: UnresolvedPipelineError) -> Iterator[PipelineEvent]:
        """What is said of each flow that could not be resolved; those that are at fault themselves come last."""
        now_ms = self._tools.clock.now_ms()
        for failed in error.downstream:
            yield events.not_resolved_downstream(failed.flow, failed.error).at(now_ms)
        for failed in error.direct:
            yield events.not_resolved(failed.flow, failed.error).at(now_ms)

    def _log_stages(
        self,
        graph: DataflowGraph,
        resolution: Resolution,
        selection: TableSelection,
        storage: Storage,
        session: PipelineSession,
    ) -> None:
        """Log what a run would do. That it could not be decided is no failure of a dry run, as in Spark."""
        try:
            planned = self._decide(resolution, selection, storage, session)
        except SparkError as error:
            _log.warning("dry run of graph %s: a run would fail: %s", graph.graph_id, error)
        else:
            _log.info("dry run of graph %s:\n%s", graph.graph_id, explain(planned))


def _is_for_others(output: elements.Output, graph: DataflowGraph) -> bool:
    """Whether an output is defined for servers that do not quarantine rows by themselves.

    Rows of a temporary view, which is no table, are quarantined as they are there.
    """
    dataset = output.properties.get(expectations.ELSEWHERE) if isinstance(output, elements.PipelineTable) else None
    return dataset is not None and not graph.is_temporary_view(names.parse(dataset))


def _fill(message: pb.ResolvedIdentifier, name: Identifier) -> None:
    if not name.is_single:
        message.catalog_name, namespace, _ = name.parts
        message.namespace.append(namespace)
    message.table_name = name.name
