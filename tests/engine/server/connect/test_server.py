"""A server's start: who comes early waits, what goes wrong is said, and nothing is left behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest

from riacho.errors import SparkGeneralError
from riacho.protos import pb
from riacho.server.connect.server import RiachoServer
from riacho.server.engine.sail.child import EngineChild

LIMIT_S = 30


@pytest.fixture
def engine() -> EngineChild:
    """A process that only a server ends."""
    return EngineChild()


def ask_for_version(channel: grpc.Channel) -> Any:
    request = pb.AnalyzePlanRequest(session_id="00112233-4455-6677-8899-aabbccddeeff")
    request.spark_version.SetInParent()
    method: grpc.UnaryUnaryMultiCallable[bytes, bytes]
    method = channel.unary_unary("/spark.connect.SparkConnectService/AnalyzePlan")
    return method.future(request.SerializeToString(), timeout=LIMIT_S)


def test_who_comes_before_the_start_is_answered_after_it(tmp_path: Path, engine: EngineChild) -> None:
    server = RiachoServer(tmp_path / "lake", port=0, engine=engine)
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        asked = ask_for_version(channel)
        assert not asked.done()
        server.start()
        assert pb.AnalyzePlanResponse.FromString(asked.result()).spark_version.version
        server.stop()
    assert not engine.alive


def test_a_start_that_fails_is_told_to_those_who_came(
    tmp_path: Path, engine: EngineChild, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("out of order")

    monkeypatch.setattr("riacho.server.connect.backend.Backend", broken)
    monkeypatch.setattr("riacho.server.connect.server.REFUSAL_S", 0.2)
    server = RiachoServer(tmp_path, port=0, engine=engine)
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        asked = ask_for_version(channel)
        with pytest.raises(RuntimeError, match="out of order"):
            server.start()
        with pytest.raises(grpc.RpcError, match="The server did not start. RuntimeError: out of order"):
            asked.result()
    server.stop()
    assert not engine.alive


def test_stopped_before_its_start_it_does_not_start(tmp_path: Path, engine: EngineChild) -> None:
    server = RiachoServer(tmp_path, port=0, engine=engine)
    server.stop()
    server.start()
    server.wait()
    assert not engine.alive


def test_a_taken_port_ends_the_engine(tmp_path: Path, engine: EngineChild) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SparkGeneralError, match=f"Cannot listen on 127.0.0.1:{port}"):
            RiachoServer(tmp_path, port=port, engine=engine)
    assert not engine.alive


def test_a_warehouse_that_cannot_be_ends_the_engine(tmp_path: Path, engine: EngineChild) -> None:
    (tmp_path / "lake").write_text("a file")
    with pytest.raises(FileExistsError, match="lake"):
        RiachoServer(tmp_path / "lake", port=0, engine=engine)
    assert not engine.alive


def test_an_engine_that_does_not_come_up_is_the_servers_failure(tmp_path: Path, engine: EngineChild) -> None:
    os.kill(engine.pid, signal.SIGKILL)
    with pytest.raises(SparkGeneralError, match="The engine did not start: it ended with code -9"):
        RiachoServer(tmp_path, port=0, engine=engine)


def test_taking_the_port_loads_little() -> None:
    slow = ("pyarrow", "numpy", "google.protobuf", *(f"riacho.server.{it}" for it in ("catalog", "streaming", "graph")))
    code = f"import sys, riacho.server.connect.server; print([name for name in {slow!r} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=LIMIT_S)
    assert found.stdout == "[]\n"
