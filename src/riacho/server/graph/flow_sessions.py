"""Engine sessions for flows that have SQL confs of their own, so that flows side by side do not see each other's."""

from __future__ import annotations

from collections.abc import Mapping

from riacho.server.engine.base import Engine, EngineSession

_NOT_THE_ENGINES = ("pipelines.", "spark.sql.pipelines.", "spark.sql.streaming.")
"""Confs that riacho obeys and the engine does not know."""


class ClonedSessions:
    """See `ports.FlowSessions`: a clone of the client's session for each flow that changes a conf."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def open(self, engine: EngineSession, conf: Mapping[str, str]) -> EngineSession:
        told = {key: value for key, value in conf.items() if not key.startswith(_NOT_THE_ENGINES)}
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
