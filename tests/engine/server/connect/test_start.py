"""Starting a query: what a start that fails leaves behind, which is nothing, whichever of its steps failed."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pyspark import cloudpickle

from riacho.errors import IllegalArgumentError, SparkError
from riacho.ids import SessionId, new_uuid
from riacho.protos import pb
from riacho.server.connect.backend import Backend
from riacho.server.connect.server import RiachoServer
from riacho.server.engine.sail.engine import SailEngine
from riacho.server.engine.sail.session import SailSession
from riacho.server.streaming import manager
from riacho.server.streaming import start as starting
from riacho.server.streaming.checkpoint import Checkpoint
from riacho.server.streaming.request import StartRequest
from riacho.server.streaming.sinks.foreach_batch import ForeachBatchSink
from riacho.server.streaming.sinks.memory import MemorySink
from riacho.server.streaming.sinks.table import NewTableSink
from riacho.server.streaming.trigger import ProcessingTime
from riacho.server.workers import python_worker

PICKLED: bytes = cloudpickle.dumps((print, None))  # type: ignore[no-untyped-call]


class BrokenStepError(Exception):
    """What a step of a start raises here."""


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    server = RiachoServer(tmp_path_factory.mktemp("lake"), port=0)
    server.start()
    yield server.backend
    server.stop()


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made, this test's alone."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def rate() -> pb.Relation:
    relation = pb.Relation()
    relation.read.is_streaming = True
    relation.read.data_source.format = "rate"
    return relation


def request_for(sink: str, name: str = "once") -> StartRequest:
    request = StartRequest(rate(), ProcessingTime(60_000), name=name, format=sink)
    if sink == "table":
        return replace(request, format="", table=f"t_{new_uuid()[:8]}", options={"checkpointlocation": "/nowhere/c"})
    if sink == "foreachBatch":
        function = pb.PythonUDF(command=PICKLED)
        return replace(request, format="", foreach_batch=function)
    return request


def left_behind(backend: Backend) -> tuple[object, ...]:
    """Everything that a query has while it runs."""
    services = backend._services
    return (
        set(vars(services.engine)["_sessions"]),
        services.queries.active(),
        dict(services.queries._entries),
        {thread.name for thread in threading.enumerate() if thread.name.startswith("riacho-query")},
        set(python_worker._running),
    )


def breaking(step: str, real: Callable[..., object]) -> Callable[..., object]:
    def broken(*given: object, **named: object) -> object:
        if isinstance(given[0], threading.Thread) and not given[0].name.startswith("riacho-query"):
            return real(*given, **named)  # gRPC has threads too
        raise BrokenStepError(step)

    return broken


STEPS = {
    "read": (starting, "plan_stream"),
    "analyse": (SailSession, "schema"),
    "make the sink": (starting, "make_sink"),
    "explain": (SailSession, "explain"),
    "clone": (SailEngine, "clone"),
    "open the checkpoint": (Checkpoint, "query_id"),
    "make the query": (manager, "StreamingQuery"),
    "make way": (manager.QueryManager, "_make_way"),
    "find a thread": (threading.Thread, "start"),
}
OWN_STEPS = {
    "memory": (MemorySink, "announce"),
    "table": (NewTableSink, "announce"),
    "foreachBatch": (ForeachBatchSink, "prepare"),
}


@pytest.mark.parametrize("sink", ["memory", "table", "foreachBatch", "noop"])
def test_whichever_step_fails_nothing_is_left(
    backend: Backend, sink: str, temporary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id = new_uuid()
    backend._services.sessions.get("", session_id)
    request = request_for(sink)
    if sink == "table":
        request = replace(request, options={"checkpointlocation": str(tmp_path / "c")})
    before = left_behind(backend)
    own = {"its own": OWN_STEPS[sink]} if sink in OWN_STEPS else {}
    for step, (place, name) in {**own, **STEPS}.items():
        with monkeypatch.context() as patched:
            patched.setattr(place, name, breaking(step, getattr(place, name)))
            with pytest.raises(BrokenStepError):
                backend.start_query(session_id, request)
        assert left_behind(backend) == before, step
        assert list(temporary.glob("riacho-*")) == [], step
    backend.start_query(session_id, request).stop()
    assert left_behind(backend)[0] == before[0]


def test_a_start_that_is_refused_leaves_nothing(backend: Backend, temporary: Path, tmp_path: Path) -> None:
    session_id = new_uuid()
    noop = replace(request_for("noop"), options={"checkpointlocation": str(tmp_path / "first")})
    running = backend.start_query(session_id, noop)
    before = left_behind(backend)
    refused = {
        "query with that name is already active": request_for("noop"),
        "Invalid streaming output mode": replace(noop, output_mode="never"),
        "DATA_SOURCE_NOT_FOUND": replace(noop, format="paper"),
        "must be a whole number": replace(noop, format="console", options={"numrows": "many"}),
        "'path' is not specified": replace(noop, format="delta"),
        "does not support Update output mode": replace(noop, format="delta", path="/nowhere/t", output_mode="update"),
        "does not support partitioning": replace(request_for("memory"), partition_by=("value",)),
        "queryName must be specified": replace(request_for("memory"), name=None),
        "checkpointLocation must be specified": replace(noop, format="", table="none", name="n", options={}),
        "SCHEMA_NOT_FOUND": replace(noop, format="", table="nowhere.t", name="n"),
        "data source: nosuch": replace(noop, format="nosuch", table="files", name="n"),
        "not supported for no streaming aggregations": replace(noop, output_mode="complete"),
    }
    for reason, request in refused.items():
        with pytest.raises(SparkError, match=reason):
            backend.start_query(session_id, request)
        assert left_behind(backend) == before, reason
    assert list(temporary.glob("riacho-*")) == []
    assert [table for table in backend._services.catalog.tables("default") if table.table in {"none", "files"}] == []
    running.stop()


def test_a_run_that_may_not_be_ended_refuses_the_start(backend: Backend, tmp_path: Path) -> None:
    session_id = new_uuid()
    session = backend._services.sessions.get("", session_id)
    session.engine.set_conf("spark.sql.streaming.stopActiveRunOnRestart", "false")
    options = {"checkpointlocation": str(tmp_path / "c")}
    running = backend.start_query(session_id, replace(request_for("noop"), options=options))
    before = left_behind(backend)
    with pytest.raises(SparkError, match="another query with same id is already active"):
        backend.start_query(session_id, replace(request_for("noop", "other"), options=options))
    assert left_behind(backend) == before
    assert running.is_active
    running.stop()


def test_a_query_that_was_added_and_not_begun_can_be_stopped(backend: Backend) -> None:
    session_id = SessionId(new_uuid())
    session = backend._services.sessions.get("", session_id)
    before = left_behind(backend)
    added = starting.start(backend._services.streaming(session), request_for("noop"))
    assert backend._services.queries.active(session_id) == [added]
    backend._services.queries.discard(added)
    assert left_behind(backend)[0] == before[0]
    assert added.await_termination(0)
    assert not added.is_active
    added.begin()
    added.stop()
    assert backend._services.queries.active(session_id) == []


def test_once_the_server_ends_no_query_starts(tmp_path: Path) -> None:
    server = RiachoServer(tmp_path / "lake", port=0)
    server.start()
    backend = server.backend
    backend._services.queries.close()
    with pytest.raises(SparkError, match="shutting down"):
        backend.start_query(new_uuid(), request_for("noop"))
    server.stop()


def test_a_function_of_another_python_is_refused(backend: Backend) -> None:
    function = pb.PythonUDF(command=PICKLED, python_ver="2.7")
    with pytest.raises(SparkError, match="PYTHON_VERSION_MISMATCH") as caught:
        backend.start_query(new_uuid(), replace(request_for("foreachBatch"), foreach_batch=function))
    assert caught.value.condition == "STREAMING_PYTHON_RUNNER_INITIALIZATION_FAILURE"


def test_the_query_goes_on_if_giving_back_fails(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    running = backend.start_query(new_uuid(), request_for("noop"))
    with monkeypatch.context() as patched:
        patched.setattr(threading, "excepthook", lambda _: None)
        patched.setattr(SailEngine, "release", lambda *_: (_ for _ in ()).throw(BrokenStepError()))
        running.stop()
    assert not running.is_active


def test_names_are_free_again(backend: Backend) -> None:
    session_id = new_uuid()
    backend.start_query(session_id, request_for("memory")).stop()
    running = backend.start_query(session_id, request_for("memory"))
    with pytest.raises(IllegalArgumentError, match="already active"):
        backend.start_query(session_id, request_for("memory"))
    running.stop()
