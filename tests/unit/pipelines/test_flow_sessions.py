from __future__ import annotations

from riacho.engine.sail import SailEngine
from riacho.pipelines.flow_sessions import ClonedSessions
from tests.unit.pipelines.support import Pipelines

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
