"""One run as others see it: its states, its end, and what it is asked while it runs. The engine is in memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from riacho.clock import SystemClock
from riacho.errors import SparkGeneralError, StreamingQueryError
from riacho.protos import pb
from riacho.server.streaming.batch import BatchStep
from riacho.server.streaming.definition import QueryDefinition
from riacho.server.streaming.manager import QueryManager
from riacho.server.streaming.query import StreamingQuery
from riacho.server.streaming.trigger import ProcessingTime
from riacho.testing import CrashAfter, FakeEngine, ListSink, ScriptedSource, define, run
from riacho.testing.engine import FakeSession, interrupted

SCHEMA = pa.schema([("id", pa.int64())])
LIMIT_S = 30
ALWAYS = ProcessingTime(0)


@pytest.fixture
def source() -> ScriptedSource:
    return ScriptedSource(SCHEMA, [{"id": 1}])


@pytest.fixture
def sink() -> ListSink:
    return ListSink()


@pytest.fixture
def running(engine: FakeEngine, source: ScriptedSource, sink: ListSink, tmp_path: Path) -> Iterator[StreamingQuery]:
    """A query that goes on until it is stopped."""
    definition = define(source, sink, tmp_path / "c", engine, trigger=ALWAYS, name="always")
    query = QueryManager(engine, SystemClock()).start(definition)
    yield query
    query.stop()


def test_what_comes_while_it_runs_is_taken(running: StreamingQuery, source: ScriptedSource, sink: ListSink) -> None:
    for number in (2, 3):
        assert running.all_available_waiter()(LIMIT_S)
        source.add({"id": number})
    assert running.all_available_waiter()(LIMIT_S)
    assert sink.values("id") == [1, 2, 3]
    assert running.is_active
    assert not running.await_termination(0)


def test_it_ends_when_it_is_told_and_says_so(running: StreamingQuery) -> None:
    assert running.all_available_waiter()(LIMIT_S)
    running.stop()
    running.stop()
    assert running.await_termination(0)
    assert not running.is_active
    assert running.status.message == "Stopped"
    assert running.failure is None
    assert running.all_available_waiter()(LIMIT_S), "nothing more will come"


def test_a_busy_engine_is_interrupted_and_that_is_no_failure(
    engine: FakeEngine, source: ScriptedSource, sink: ListSink, tmp_path: Path
) -> None:
    busy = threading.Event()

    def before_run(session: FakeSession, relation: pb.Relation) -> None:
        busy.set()
        interrupted(session)

    engine.before_run = before_run
    query = QueryManager(engine, SystemClock()).start(define(source, sink, tmp_path, engine))
    assert busy.wait(LIMIT_S)
    assert query.status.message == "Processing new data"
    query.stop()
    assert query.failure is None
    assert query.status.message == "Stopped"
    assert sink.batches == {}

    engine.before_run = lambda session, relation: None
    run(define(source, sink, tmp_path, engine), engine)
    assert sink.values("id") == [1]


def test_a_query_that_does_not_end_in_time_says_what_it_is_busy_with(
    engine: FakeEngine, source: ScriptedSource, sink: ListSink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("riacho.server.streaming.query.STOP_TIMEOUT_S", 0.01)
    busy, free = threading.Event(), threading.Event()

    def before_run(session: FakeSession, relation: pb.Relation) -> None:
        busy.set()
        assert free.wait(LIMIT_S)

    engine.before_run = before_run
    query = QueryManager(engine, SystemClock()).start(define(source, sink, tmp_path, engine))
    assert busy.wait(LIMIT_S)
    with pytest.raises(SparkGeneralError, match="did not stop within 0 s; it is still busy: Processing new data"):
        query.stop()
    free.set()
    assert query.await_termination(LIMIT_S)


def test_a_failure_is_raised_to_all_who_wait(
    engine: FakeEngine, source: ScriptedSource, sink: ListSink, tmp_path: Path
) -> None:
    engine.fail(SparkGeneralError("[DIVIDE_BY_ZERO] no", condition="DIVIDE_BY_ZERO"))
    definition = define(source, sink, tmp_path, engine, name="broken")

    query = run(definition, engine)

    for wait in (query.await_termination, query.all_available_waiter()):
        with pytest.raises(StreamingQueryError) as raised:
            wait(LIMIT_S)
        assert raised.value is query.failure
    assert query.failure is not None
    assert query.failure.message.startswith(
        f"[STREAM_FAILED] Query [id = {query.query_id}, runId = {query.run_id}] terminated with exception: "
        "[DIVIDE_BY_ZERO] no SQLSTATE: XXKST\n=== Streaming Query ===\n"
        f"Identifier: broken [id = {query.query_id}, runId = {query.run_id}]\n"
        "Current Committed Offsets: {}\nCurrent Available Offsets: {scripted: 1}\n\nCurrent State: ACTIVE\n"
    )
    assert query.cause is not None
    assert query.cause.condition == "DIVIDE_BY_ZERO"
    assert "DIVIDE_BY_ZERO" in query.stack_trace
    assert query.status.message == "Terminated with exception: [DIVIDE_BY_ZERO] no"


def test_the_id_is_the_checkpoints_and_each_run_has_its_own(
    engine: FakeEngine, source: ScriptedSource, sink: ListSink, tmp_path: Path
) -> None:
    first, second, other = (run(define(source, sink, tmp_path / name, engine), engine) for name in ("a", "a", "b"))
    assert first.query_id == second.query_id != other.query_id
    assert len({first.run_id, second.run_id, other.run_id}) == 3
    assert [context.query_id for context in sink.runs] == [first.query_id, first.query_id, other.query_id]


@pytest.mark.parametrize("step", [None, BatchStep.RAN])
def test_a_temporary_checkpoint_goes_with_a_query_that_did_not_fail(
    engine: FakeEngine, source: ScriptedSource, sink: ListSink, tmp_path: Path, step: BatchStep | None
) -> None:
    definition: QueryDefinition = replace(define(source, sink, tmp_path / "c", engine), temporary=True)
    run(definition, engine, observer=CrashAfter(step))
    assert definition.checkpoint.exists() is (step is not None)
