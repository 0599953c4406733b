"""The pipeline commands, as a server gets them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pytest

from riacho.errors import SparkError, UnsupportedOperationError
from riacho.ids import SessionId
from riacho.protos import pb
from riacho.server.catalog.base import Table
from riacho.server.engine.base import EngineSession
from riacho.server.graph import PipelineService, PipelineSession, service
from riacho.server.graph.ports import CheckedRefresh, Refreshed, RefreshWay
from riacho.server.streaming.quality import BatchQuality, Checks, RowCounts
from riacho.testing.clock import ManualClock
from tests.engine.server.graph.support import Pipelines
from tests.unit.server.graph.support import FakeCatalog

SESSION_ID = SessionId("s")


@dataclass
class Session:
    engine: EngineSession
    session_id: SessionId = SESSION_ID
    current_database: str = "default"


@dataclass
class Tools:
    """Analyser, writer and sessions. A write waits for `may_write`."""

    pipelines: Pipelines
    writes: list[str] = field(default_factory=list)
    may_write: threading.Event = field(default_factory=threading.Event)

    def schema(self, relation: pb.Relation, session: PipelineSession, engine: EngineSession) -> pa.Schema:
        return self.pipelines.analyze(relation, {})

    def refresh(
        self,
        table: Table,
        relation: pb.Relation,
        schema: pa.Schema,
        engine: EngineSession,
        *,
        full: bool = False,
        from_changes: bool = True,
    ) -> Refreshed:
        assert self.may_write.wait(30)
        self.writes.append(str(table.name))
        return Refreshed(RefreshWay.COMPLETE_RECOMPUTE, "it is a test")

    def replace_checked(
        self,
        table: Table,
        relation: pb.Relation,
        have: pa.Schema,
        want: pa.Schema,
        engine: EngineSession,
        checks: Checks,
    ) -> CheckedRefresh:
        self.refresh(table, relation, want, engine)
        return CheckedRefresh(0, BatchQuality(RowCounts(0, 0)))

    def open(self, engine: EngineSession, conf: object) -> EngineSession:
        return engine

    def close(self, engine: EngineSession, opened: EngineSession) -> None:
        """Nothing was opened."""


@dataclass
class Client:
    """Sends commands and reads the answers."""

    service: PipelineService
    session: Session
    storage: str

    def send(self, **command: object) -> list[pb.PipelineEventResult | pb.PipelineCommandResult]:
        return list(self.stream(**command))

    def stream(self, **command: object) -> Iterator[pb.PipelineEventResult | pb.PipelineCommandResult]:
        replies = self.service.handle(pb.PipelineCommand(**command), self.session)  # type: ignore[arg-type]
        return (reply for reply in replies if reply is not None)

    def one(self, **command: object) -> pb.PipelineCommandResult:
        (reply,) = self.send(**command)
        assert isinstance(reply, pb.PipelineCommandResult)
        return reply

    def graph(self, **details: object) -> str:
        create = pb.PipelineCommand.CreateDataflowGraph(**details)  # type: ignore[arg-type]
        return self.one(create_dataflow_graph=create).create_dataflow_graph_result.dataflow_graph_id

    def sql(self, graph: str, text: str) -> None:
        define = pb.PipelineCommand.DefineSqlGraphElements(dataflow_graph_id=graph, sql_file_path="f", sql_text=text)
        assert self.one(define_sql_graph_elements=define) == pb.PipelineCommandResult()

    def output(self, graph: str, name: str, kind: pb.OutputType.ValueType, **details: object) -> list[str]:
        define = pb.PipelineCommand.DefineOutput(
            dataflow_graph_id=graph,
            output_name=name,
            output_type=kind,
            **details,  # type: ignore[arg-type]
        )
        return parts(self.one(define_output=define).define_output_result.resolved_identifier)

    def flow(self, graph: str, name: str, target: str, **details: object) -> list[str]:
        if not details:
            query = pb.Relation(sql=pb.SQL(query="SELECT 1 AS a"))
            details = {"relation_flow_details": pb.PipelineCommand.DefineFlow.WriteRelationFlowDetails(relation=query)}
        define = pb.PipelineCommand.DefineFlow(
            dataflow_graph_id=graph,
            flow_name=name,
            target_dataset_name=target,
            **details,  # type: ignore[arg-type]
        )
        return parts(self.one(define_flow=define).define_flow_result.resolved_identifier)

    def run(self, graph: str, **details: object) -> Iterator[pb.PipelineEventResult | pb.PipelineCommandResult | None]:
        start = {"dataflow_graph_id": graph, "storage": self.storage, **details}
        return self.stream(start_run=pb.PipelineCommand.StartRun(**start))  # type: ignore[arg-type]


def parts(name: pb.ResolvedIdentifier) -> list[str]:
    return [part for part in (name.catalog_name, *name.namespace, name.table_name) if part]


def told(replies: Iterator[pb.PipelineEventResult | pb.PipelineCommandResult | None]) -> list[str]:
    """The events' texts; the last reply must be the empty result."""
    *events, result = replies
    assert result == pb.PipelineCommandResult()
    return [event.event.message for event in events if isinstance(event, pb.PipelineEventResult)]


@pytest.fixture
def tools(pipelines: Pipelines) -> Tools:
    tools = Tools(pipelines)
    tools.may_write.set()
    return tools


@pytest.fixture
def client(tools: Tools, tmp_path: Path) -> Client:
    service = PipelineService(
        catalog=FakeCatalog(),  # type: ignore[arg-type]
        analyzer=tools,
        streams=tools,  # type: ignore[arg-type]
        writer=tools,
        sessions=tools,
        clock=ManualClock(),
    )
    return Client(service, Session(tools.pipelines.session), tmp_path.as_uri())


def test_a_graph_has_the_database_it_was_given_and_so_has_the_session(client: Client) -> None:
    graph = client.graph(default_database="db2")
    assert client.output(graph, "t", pb.OutputType.TABLE) == ["spark_catalog", "db2", "t"]
    assert client.session.current_database == "db2"
    assert client.output(client.graph(), "t", pb.OutputType.TABLE) == ["spark_catalog", "db2", "t"]


@pytest.mark.parametrize(
    ("details", "condition"),
    [({"default_database": "nope"}, "SCHEMA_NOT_FOUND"), ({"default_catalog": "nope"}, "CATALOG_NOT_FOUND")],
)
def test_a_graph_lives_where_there_is_something(client: Client, details: dict[str, str], condition: str) -> None:
    with pytest.raises(SparkError) as caught:
        client.graph(**details)
    assert caught.value.condition == condition


def test_names_of_outputs_and_their_flows(client: Client) -> None:
    graph = client.graph()
    assert client.output(graph, "m", pb.OutputType.MATERIALIZED_VIEW) == ["spark_catalog", "default", "m"]
    assert client.output(graph, "v", pb.OutputType.TEMPORARY_VIEW) == ["v"]
    assert client.output(graph, "s", pb.OutputType.SINK) == ["s"]
    assert client.flow(graph, "m", "m") == ["spark_catalog", "default", "m"]
    assert client.flow(graph, "v", "v") == ["v"]
    assert client.flow(graph, "f", "s") == ["f"]
    assert client.flow(graph, "f", "v") == ["spark_catalog", "default", "f"]


@pytest.mark.parametrize(
    ("kind", "condition"),
    [
        (pb.OutputType.TEMPORARY_VIEW, "MULTIPART_TEMPORARY_VIEW_NAME_NOT_SUPPORTED"),
        (pb.OutputType.SINK, "MULTIPART_SINK_NAME_NOT_SUPPORTED"),
    ],
)
def test_names_that_must_have_one_part(client: Client, kind: pb.OutputType.ValueType, condition: str) -> None:
    with pytest.raises(SparkError) as caught:
        client.output(client.graph(), "a.b", kind)
    assert caught.value.condition == condition


def test_what_flows_cannot_be(client: Client) -> None:
    graph = client.graph()
    with pytest.raises(SparkError, match="MULTIPART_FLOW_NAME_NOT_SUPPORTED"):
        client.flow(graph, "a.b", "t")
    with pytest.raises(SparkError, match="AUTOCDC_MISSING_SEQUENCE_BY"):
        client.flow(graph, "f", "t", auto_cdc_flow_details=pb.PipelineCommand.DefineFlow.AutoCdcFlowDetails(source="s"))


def test_a_run_ends_with_an_empty_result(client: Client, tools: Tools) -> None:
    graph = client.graph()
    client.sql(graph, "CREATE MATERIALIZED VIEW a AS SELECT 1 AS x; CREATE MATERIALIZED VIEW b AS SELECT x FROM a")
    assert told(client.run(graph))[-1] == "Run is COMPLETED."
    assert tools.writes == ["spark_catalog.default.a", "spark_catalog.default.b"]


def test_a_dry_run_writes_nothing(client: Client, tools: Tools) -> None:
    graph = client.graph()
    client.sql(graph, "CREATE MATERIALIZED VIEW a AS SELECT 1 AS x")
    assert told(client.run(graph, dry=True)) == ["Run is COMPLETED."]
    assert tools.writes == []


def test_flows_that_are_not_resolved_are_told_first_those_at_fault_last(client: Client) -> None:
    graph = client.graph()
    client.sql(graph, "CREATE MATERIALIZED VIEW b AS SELECT * FROM a; CREATE MATERIALIZED VIEW a AS SELECT nocolumn")
    replies = client.run(graph)
    first, second = next(replies), next(replies)
    assert isinstance(first, pb.PipelineEventResult)
    assert isinstance(second, pb.PipelineEventResult)
    assert first.event.message.startswith("Failed to resolve flow due to upstream failure: 'spark_catalog.default.b'.")
    assert second.event.message.startswith("Failed to resolve flow: 'spark_catalog.default.a'.\nError: ")
    with pytest.raises(SparkError, match="Failed to resolve flows in the pipeline"):
        next(replies)


def test_a_graph_runs_once_at_a_time(client: Client, tools: Tools) -> None:
    graph = client.graph()
    client.sql(graph, "CREATE MATERIALIZED VIEW a AS SELECT 1 AS x")
    tools.may_write.clear()
    replies = client.run(graph)
    next(replies)
    with pytest.raises(SparkError, match=f"graph ID {graph} already exists"):
        next(client.run(graph))
    tools.may_write.set()
    assert told(replies)[-1] == "Run is COMPLETED."
    assert told(client.run(graph))[-1] == "Run is COMPLETED."


def test_a_session_that_ends_takes_its_runs_along(
    client: Client, tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "STOP_LIMIT_S", 0.01)  # the run waits for `may_write`
    graph = client.graph()
    client.sql(graph, "CREATE MATERIALIZED VIEW a AS SELECT 1 AS x; CREATE MATERIALIZED VIEW b AS SELECT x FROM a")
    tools.may_write.clear()
    replies = client.run(graph)
    next(replies)
    client.service.end_session(SESSION_ID)
    tools.may_write.set()
    with pytest.raises(SparkError, match="canceled"):
        list(replies)
    assert "spark_catalog.default.b" not in tools.writes
    with pytest.raises(SparkError, match="DATAFLOW_GRAPH_NOT_FOUND"):
        next(client.run(graph))


def test_dropped_and_unknown_graphs(client: Client) -> None:
    graph = client.graph()
    drop = pb.PipelineCommand.DropDataflowGraph(dataflow_graph_id=graph)
    assert client.one(drop_dataflow_graph=drop) == pb.PipelineCommandResult()
    with pytest.raises(SparkError, match=f"Dataflow graph with id {graph} could not be found"):
        client.one(drop_dataflow_graph=drop)


def test_commands_that_spark_declares_and_does_not_answer(client: Client) -> None:
    with pytest.raises(UnsupportedOperationError, match="EXECUTE_OUTPUT_FLOWS not supported"):
        client.send(execute_output_flows=pb.PipelineCommand.ExecuteOutputFlows())
