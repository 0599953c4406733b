"""Starting a query: what a refused start leaves behind, which is nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from riacho.errors import IllegalArgumentError
from riacho.ids import new_uuid
from riacho.protos import pb
from riacho.server.connect.backend import Backend
from riacho.server.connect.server import RiachoServer
from riacho.server.connect.start import StartRequest
from riacho.server.streaming.trigger import ProcessingTime

LIMIT_S = 30


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[Backend]:
    server = RiachoServer(tmp_path / "lake", port=0)
    server.start()
    yield server.backend
    server.stop()


def request_for(checkpoint: Path) -> StartRequest:
    rate = pb.Relation()
    rate.read.is_streaming = True
    rate.read.data_source.format = "rate"
    options = {"checkpointlocation": str(checkpoint)}
    return StartRequest(rate, ProcessingTime(60_000), name="once", format="noop", options=options)


def test_a_start_that_is_refused_leaves_no_session_in_the_engine(backend: Backend, tmp_path: Path) -> None:
    session_id = new_uuid()
    running = backend.start_query(session_id, request_for(tmp_path / "first"))
    sessions = set(backend._engine._sessions)
    with pytest.raises(IllegalArgumentError, match="name once as a query with that name is already active"):
        backend.start_query(session_id, request_for(tmp_path / "second"))
    with pytest.raises(IllegalArgumentError, match="Invalid streaming output mode"):
        backend.start_query(session_id, replace(request_for(tmp_path / "third"), output_mode="never"))
    assert set(backend._engine._sessions) == sessions
    running.stop()
    assert len(backend._engine._sessions) == len(sessions) - 1
