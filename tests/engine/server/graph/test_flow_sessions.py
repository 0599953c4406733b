from __future__ import annotations

import pytest

from riacho.errors import AnalysisError, IllegalArgumentError
from riacho.server.engine.sail.engine import SailEngine
from riacho.server.engine.sail.session import SailSession
from riacho.server.graph.flow_sessions import ClonedSessions
from tests.engine.server.graph.support import Pipelines

ANSI = "spark.sql.ansi.enabled"


def test_a_conf_of_a_flow_is_seen_by_no_other(engine: SailEngine, pipelines: Pipelines) -> None:
    sessions, own = ClonedSessions(engine), pipelines.session
    own.set_conf(ANSI, "true")
    opened = sessions.open(own, {ANSI: "false"})
    assert (opened.get_conf(ANSI), own.get_conf(ANSI)) == ("false", "true")
    sessions.close(own, opened)
    assert own.sql("SELECT 1 AS a").to_pylist() == [{"a": 1}]


def test_nothing_is_cloned_for_nothing(engine: SailEngine, pipelines: Pipelines) -> None:
    sessions, own = ClonedSessions(engine), pipelines.session
    own.set_conf(ANSI, "true")
    assert sessions.open(own, {ANSI: "true", "spark.sql.pipelines.maxFlowRetryAttempts": "0"}) is own
    sessions.close(own, own)
    assert own.get_conf(ANSI) == "true"


def test_a_conf_that_is_refused_leaves_no_clone(
    engine: SailEngine, pipelines: Pipelines, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AnalysisError("no such value")

    own = pipelines.session
    before = set(engine._sessions)
    monkeypatch.setattr(SailSession, "set_conf", refuse)
    with pytest.raises(AnalysisError, match="no such value"):
        ClonedSessions(engine).open(own, {ANSI: "false"})
    assert set(engine._sessions) == before
    with pytest.raises(IllegalArgumentError, match="The value 'maybe' in the config"):
        ClonedSessions(engine).open(own, {ANSI: "maybe"})
    assert set(engine._sessions) == before
