"""What a format's name means: connectors are known without being loaded."""

from __future__ import annotations

import json
import pickle
import sys

import pytest

from riacho.errors import AnalysisError
from riacho.protos import pb
from riacho.server.engine.base import EngineSession, UserClass
from riacho.server.workers.sources import fork_server, registered
from riacho.testing.engine import FakeEngine

CLASSES = {"rest": "json.decoder:JSONDecoder", "jdbc": "riacho.nowhere:Jdbc", "com.acme.spark": "riacho.nowhere:Acme"}


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> EngineSession:
    monkeypatch.setattr(registered, "CLASSES", CLASSES)
    monkeypatch.setattr(registered, "ON_ANY_SPARK", ("rest",))
    monkeypatch.setattr(registered, "_found", {})
    found: EngineSession = FakeEngine().session("s", "u")  # type: ignore[arg-type]
    return found


def command(name: str) -> pb.CommonInlineUserDefinedDataSource:
    return pb.CommonInlineUserDefinedDataSource(name=name)


def test_connectors_are_known_by_name(session: EngineSession) -> None:
    for name in ("REST", "jdbc", "org.apache.spark.sql.execution.datasources.jdbc", "com.Acme.Spark.DefaultSource"):
        found = registered.find(name, session)
        assert found is not None, name
        assert found.connector
    assert "riacho.nowhere" not in sys.modules
    rest = registered.find("rest", session)
    assert rest is not None
    assert pickle.loads(rest.code) is json.JSONDecoder
    assert registered.find("nobody", session) is None


def test_a_session_has_its_own_class_of_a_name_that_spark_has_not(
    session: EngineSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fork_server, "warm_up", lambda: None)
    registered.register(session, command("Rest"))
    assert registered.find("rest", session) == UserClass(b"", "")
    for name in ("jdbc", "mongodb", "MongoDB", "com.acme.spark"):
        with pytest.raises(AnalysisError, match="DATA_SOURCE_ALREADY_EXISTS"):
            registered.register(session, command(name))


def test_predicates_are_an_option(session: EngineSession) -> None:
    read = pb.Read.DataSource(format="jdbc", options={"url": "x"}, predicates=["a < 'ü'", "a >= 'ü'"])
    used = registered.use(read, UserClass(b""), session)
    assert used.options == {"url": "x", "__predicates": "[\"a < 'ü'\", \"a >= 'ü'\"]"}
