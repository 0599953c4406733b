"""What the server answers about streaming queries, message by message. The engine and the sources are in memory."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pytest

from riacho.clock import SystemClock
from riacho.errors import AnalysisError, IllegalArgumentError, SparkError, StreamingQueryError
from riacho.ids import OperationId, new_uuid
from riacho.protos import pb
from riacho.server.catalog.warehouse import WarehouseCatalog
from riacho.server.catalog.write import TableWrites
from riacho.server.connect.handlers import interrupt, listeners, streaming
from riacho.server.connect.operations import Operations
from riacho.server.connect.services import Services
from riacho.server.connect.session import ServerSession, Sessions
from riacho.server.connect.status import ErrorLog
from riacho.server.delta.maintenance import Housekeeper
from riacho.server.streaming.manager import QueryManager
from riacho.server.streaming.planning import MakeSource
from riacho.server.streaming.sinks.noop import NoopSink
from riacho.testing import FakeEngine, ScriptedSource
from riacho.testing.engine import interrupted
from riacho.testing.queries import leaf

SCHEMA = pa.schema([("id", pa.int64())])
LIMIT_S = 30


@dataclass
class InMemory(Services):
    """Services whose streams read `source`."""

    source: ScriptedSource = field(default_factory=lambda: ScriptedSource(SCHEMA, [{"id": 1}], [{"id": 2}]))

    def make_source(self, session: ServerSession) -> MakeSource:
        return lambda _: self.source


@pytest.fixture
def services(engine: FakeEngine, tmp_path: Path) -> Iterator[InMemory]:
    clock = SystemClock()
    catalog = WarehouseCatalog(tmp_path / "warehouse")
    given = cast("Any", engine)
    services = InMemory(
        engine=given,
        catalog=catalog,
        writes=TableWrites(catalog, clock),
        housekeeper=Housekeeper(clock=clock),
        queries=QueryManager(engine, clock),
        sessions=Sessions(given, clock),
        operations=Operations(),
        errors=ErrorLog(),
        clock=clock,
    )
    yield services
    services.queries.stop_all()
    services.housekeeper.stop()


@pytest.fixture
def session(services: InMemory) -> ServerSession:
    return services.sessions.get("user", new_uuid())


class Client:
    """Sends commands to the handlers, as the service does."""

    def __init__(self, services: InMemory, session: ServerSession) -> None:
        self.services = services
        self.session = session

    def request(self) -> pb.ExecutePlanRequest:
        return pb.ExecutePlanRequest(session_id=self.session.session_id, operation_id=new_uuid())

    def start(self, sink: str = "memory", name: str = "numbers", **options: str) -> pb.StreamingQueryInstanceId:
        """Start a query that takes what there is; its id."""
        return self.started(self.starting(sink, name, **options))

    def starting(self, sink: str = "memory", name: str = "numbers", **options: str) -> pb.ExecutePlanRequest:
        request = self.request()
        command = request.plan.command.write_stream_operation_start
        command.input.CopyFrom(leaf(0))
        command.format, command.query_name, command.output_mode = sink, name, "append"
        command.options.update(options)
        command.available_now = True
        return request

    def started(self, request: pb.ExecutePlanRequest) -> pb.StreamingQueryInstanceId:
        (reply,) = self.replies(streaming.start, request)
        return reply.write_stream_operation_start_result.query_id

    def ask(self, query: pb.StreamingQueryInstanceId, set_up: Callable[[Any], object]) -> Any:
        """The result of one command about a query."""
        request = self.request()
        command = request.plan.command.streaming_query_command
        command.query_id.CopyFrom(query)
        set_up(command)
        (reply,) = self.replies(streaming.query_command, request)
        return reply.streaming_query_command_result

    def manage(self, set_up: Callable[[Any], object]) -> Any:
        """The result of one command about all queries."""
        request = self.request()
        set_up(request.plan.command.streaming_query_manager_command)
        (reply,) = self.replies(streaming.manager_command, request)
        return reply.streaming_query_manager_command_result

    def replies(self, handler: Any, request: pb.ExecutePlanRequest) -> list[pb.ExecutePlanResponse]:
        found = list(handler(self.services, self.session, request))
        return [pb.ExecutePlanResponse.FromString(data) for data in found if data is not None]

    def finish(self, query: pb.StreamingQueryInstanceId) -> bool:
        def set_up(command: Any) -> None:
            command.await_termination.timeout_ms = LIMIT_S * 1000

        return bool(self.ask(query, set_up).await_termination.terminated)


@pytest.fixture
def client(services: InMemory, session: ServerSession) -> Client:
    return Client(services, session)


def rows(session: ServerSession, view: str) -> list[Any]:
    relation = pb.Relation()
    relation.read.named_table.unparsed_identifier = view
    found: list[Any] = session.engine.run(relation)["id"].to_pylist()
    return found


def test_a_query_from_its_start_to_its_end(client: Client, session: ServerSession) -> None:
    query = client.start()

    assert client.finish(query)
    assert rows(session, "numbers") == [1, 2]
    status = client.ask(query, lambda c: setattr(c, "status", True)).status
    assert (status.status_message, status.is_active) == ("Stopped", False)
    told = client.ask(query, lambda c: setattr(c, "recent_progress", True)).recent_progress.recent_progress_json
    assert [json.loads(text)["batchId"] for text in told] == [0, 1]
    (last,) = client.ask(query, lambda c: setattr(c, "last_progress", True)).recent_progress.recent_progress_json
    assert json.loads(last)["name"] == "numbers"
    assert not client.ask(query, lambda c: setattr(c, "exception", True)).exception.HasField("exception_message")
    assert "Physical Plan" in client.ask(query, lambda c: c.explain.SetInParent()).explain.result


def test_the_view_is_there_before_the_query_runs(client: Client, session: ServerSession) -> None:
    replies = streaming.start(client.services, session, client.starting())
    reply = pb.ExecutePlanResponse.FromString(cast("bytes", next(replies)))
    assert rows(session, "numbers") == []
    assert client.services.source.calls == [], "it starts when the client has the reply"
    list(replies)
    assert client.finish(reply.write_stream_operation_start_result.query_id)
    assert rows(session, "numbers") == [1, 2]


def test_a_client_that_leaves_before_the_reply_has_started_it_all_the_same(
    client: Client, session: ServerSession
) -> None:
    replies = streaming.start(client.services, session, client.starting())
    next(replies)
    cast("Any", replies).close()
    assert client.services.queries.await_any(session.session_id, LIMIT_S)
    assert rows(session, "numbers") == [1, 2]


def test_a_failure_is_told_to_who_asks_and_raised_to_who_waits(client: Client, engine: FakeEngine) -> None:
    engine.fail(OSError("no space left"))
    query = client.start("noop")

    with pytest.raises(StreamingQueryError, match="no space left"):
        client.finish(query)
    told = client.ask(query, lambda c: setattr(c, "exception", True)).exception
    assert told.exception_message.startswith(
        "org.apache.spark.sql.streaming.StreamingQueryException: [STREAM_FAILED] Query [id = "
    )
    assert told.error_class == "STREAM_FAILED"
    assert "OSError: no space left" in told.stack_trace


def test_a_wait_looks_up_while_it_waits(client: Client, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "SLICE_S", 0.01)
    free = threading.Event()

    def before_run(*_: object) -> None:
        assert free.wait(LIMIT_S)

    engine.before_run = before_run
    query = client.start()
    request = client.request()
    command = request.plan.command.streaming_query_command
    command.query_id.CopyFrom(query)
    command.process_all_available = True
    replies = streaming.query_command(client.services, client.session, request)
    assert next(replies) is None, "nothing yet, but whoever pulls may see that the client has gone"
    free.set()
    assert len([reply for reply in replies if reply is not None]) == 1
    assert rows(client.session, "numbers") == [1, 2]


@pytest.mark.parametrize(
    ("options", "sink", "refusal"),
    [
        ({}, "nosuch", "Failed to find the data source: nosuch"),
        ({"path": "/nowhere"}, "", "checkpointLocation must be specified"),
    ],
)
def test_a_start_that_is_refused_leaves_nothing(
    client: Client, engine: FakeEngine, options: dict[str, str], sink: str, refusal: str
) -> None:
    sessions = set(engine.sessions)
    with pytest.raises(SparkError, match=refusal):
        client.start(sink, **options)
    assert set(engine.sessions) == sessions
    assert client.services.queries.active() == []


def test_a_query_is_found_by_its_own_session_only(client: Client, services: InMemory) -> None:
    query = client.start()
    assert client.finish(query)
    other = Client(services, services.sessions.get("user", new_uuid()))
    with pytest.raises(IllegalArgumentError, match=f"Streaming query {query.id} is not found"):
        other.ask(query, lambda c: setattr(c, "status", True))


def test_all_queries_of_a_session(client: Client, services: InMemory, engine: FakeEngine) -> None:
    free = threading.Event()

    def before_run(*_: object) -> None:
        assert free.wait(LIMIT_S)

    engine.before_run = before_run
    query = client.start(name="busy")
    other = Client(services, services.sessions.get("user", new_uuid()))

    (active,) = client.manage(lambda c: setattr(c, "active", True)).active.active_queries
    assert (active.id, active.name) == (query, "busy")
    assert client.manage(lambda c: setattr(c, "get_query", query.id)).query.id == query
    assert not client.manage(lambda c: setattr(c, "get_query", "no such id")).HasField("query")
    assert not other.manage(lambda c: setattr(c, "active", True)).active.active_queries

    def wait(ms: int) -> Callable[[Any], None]:
        return lambda command: setattr(command.await_any_termination, "timeout_ms", ms)

    assert not client.manage(wait(1)).await_any_termination.terminated
    free.set()
    assert client.manage(wait(LIMIT_S * 1000)).await_any_termination.terminated
    assert client.manage(lambda c: setattr(c, "reset_terminated", True)).reset_terminated
    assert not client.manage(wait(1)).await_any_termination.terminated


def test_the_listener_bus_tells_of_the_start_with_the_reply_and_then_of_the_rest(
    client: Client, session: ServerSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listeners, "CLIENT_MOMENT_S", 0.0)
    monkeypatch.setattr(listeners, "GATE_LIMIT_S", LIMIT_S)
    adding = client.request()
    adding.plan.command.streaming_query_listener_bus_command.add_listener_bus_listener = True
    events = listeners.bus(client.services, session, adding)
    added = pb.ExecutePlanResponse.FromString(cast("bytes", next(events)))
    assert added.streaming_query_listener_events_result.listener_bus_listener_added

    starting = client.starting()
    (reply,) = client.replies(streaming.start, starting)
    result = reply.write_stream_operation_start_result
    assert json.loads(result.query_started_event_json)["id"] == result.query_id.id
    assert client.finish(result.query_id)
    assert session.listener_bus is not None
    assert session.listener_bus.events.empty(), "the client must hear of the start first"
    client.services.operations.remove(session.session_id, OperationId(starting.operation_id))

    heard = []
    while listeners.TERMINATED not in heard:
        data = next(events)
        if data is not None:
            found = pb.ExecutePlanResponse.FromString(data).streaming_query_listener_events_result.events
            heard += [event.event_type for event in found]
    assert heard == [listeners.PROGRESS, listeners.PROGRESS, listeners.TERMINATED]

    removing = client.request()
    removing.plan.command.streaming_query_listener_bus_command.remove_listener_bus_listener = True
    assert list(listeners.bus(client.services, session, removing)) == []
    assert [event for event in events if event is not None] == []
    assert session.listener_bus is None


@pytest.mark.parametrize("how", ["all", "tag", "operation"])
def test_interrupt_stops_the_queries_that_are_meant(client: Client, engine: FakeEngine, how: str) -> None:
    engine.before_run = lambda session, _: interrupted(session)
    starting = client.starting("noop", "tagged")
    starting.tags.append("mine")
    client.started(starting)
    (query,) = client.services.queries.active()

    def interrupt_by(tag: str, operation_id: str) -> list[str]:
        request = pb.InterruptRequest(session_id=client.session.session_id)
        match how:
            case "tag":
                request.interrupt_type, request.operation_tag = pb.InterruptRequest.INTERRUPT_TYPE_TAG, tag
            case "operation":
                request.interrupt_type = pb.InterruptRequest.INTERRUPT_TYPE_OPERATION_ID
                request.operation_id = operation_id
            case _:
                request.interrupt_type = pb.InterruptRequest.INTERRUPT_TYPE_ALL
        return interrupt.interrupt(client.services, client.session, request)

    if how != "all":
        assert interrupt_by("others", "other") == []
        assert query.is_active
    assert interrupt_by("mine", starting.operation_id) == [starting.operation_id]
    assert query.await_termination(LIMIT_S)
    assert query.failure is None


@pytest.mark.parametrize("step", ["check", "prepare", "announce"])
def test_a_sink_that_refuses_at_any_step_leaves_nothing(
    client: Client, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    went: list[str] = []

    def going(name: str) -> Callable[..., None]:
        def go(*_: object) -> None:
            went.append(name)
            if name == step:
                raise AnalysisError("not today")

        return go

    for name in ("check", "prepare", "announce", "close"):
        monkeypatch.setattr(NoopSink, name, going(name))
    sessions = len(engine.sessions)
    with pytest.raises(AnalysisError, match="not today"):
        client.start("noop")
    steps = ["check", "prepare", "announce"]
    assert [name for name in went if name != "close"] == steps[: steps.index(step) + 1]
    assert went.count("close") == (0 if step == "check" else 1)
    assert client.services.queries._entries == {}
    assert len(engine.sessions) == sessions


def test_a_sink_goes_through_its_steps_once(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    went: list[str] = []
    for name in ("check", "prepare", "announce", "close"):
        monkeypatch.setattr(NoopSink, name, lambda *_, name=name: went.append(name))
    assert client.finish(client.start("noop"))
    assert went == ["check", "prepare", "announce", "close"]
