"""Engine sessions for flows that have SQL confs of their own, so that flows side by side do not see each other's."""

from __future__ import annotations

from collections.abc import Mapping

from riacho.conf import check
from riacho.server.engine.base import Engine, EngineSession

_OF_THE_PIPELINE = ("pipelines.", "spark.sql.pipelines.", "riacho.pipelines.")
"""Confs of a flow that its session need not have: whoever runs the flow looks at them."""


class ClonedSessions:
    """See `ports.FlowSessions`: a clone of the client's session for each flow that changes a conf."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def open(self, engine: EngineSession, conf: Mapping[str, str]) -> EngineSession:
        for key, value in conf.items():
            check(key, value)
        told = {key: value for key, value in conf.items() if not key.startswith(_OF_THE_PIPELINE)}
        changed = {key: value for key, value in told.items() if engine.get_conf(key) != value}
        if not changed:
            return engine
        clone = self._engine.clone(engine)
        try:
            for key, value in changed.items():
                clone.set_conf(key, value)
        except BaseException:
            self.close(engine, clone)
            raise
        return clone

    def close(self, engine: EngineSession, opened: EngineSession) -> None:
        if opened is not engine:
            self._engine.release(opened.session_id, opened.user_id)
