"""Config: the engine keeps a session's confs; riacho keeps what was set, for an engine that takes over."""

from __future__ import annotations

from riacho.config import SPARK_DEFAULTS
from riacho.protos import pb
from riacho.server.session import ServerSession


def config(session: ServerSession, request: pb.ConfigRequest) -> bytes:
    """The reply in bytes, without ids. Raises SparkError, EngineLost."""
    request.ClearField("client_observed_server_side_session_id")
    operation = request.operation
    match operation.WhichOneof("op_type"):
        case "set":
            return _set(session, request)
        case "unset":
            reply = session.engine.call("Config", request.SerializeToString())
            for key in operation.unset.keys:
                session.engine.forget(("conf", key))
            return reply
        case "get":
            # A known conf that nobody has set has Spark's default; the engine knows the defaults of few.
            asked = pb.ConfigRequest(session_id=request.session_id, user_context=request.user_context)
            for key in operation.get.keys:
                pair = asked.operation.get_with_default.pairs.add(key=key)
                if key in SPARK_DEFAULTS:
                    pair.value = SPARK_DEFAULTS[key]
            known = all(key in SPARK_DEFAULTS for key in operation.get.keys)
            return session.engine.call("Config", (asked if known else request).SerializeToString())
        case _:
            return session.engine.call("Config", request.SerializeToString())


def _set(session: ServerSession, request: pb.ConfigRequest) -> bytes:
    reply = session.engine.call("Config", request.SerializeToString())
    for pair in request.operation.set.pairs:
        one = pb.ConfigRequest(session_id=request.session_id, user_context=request.user_context)
        one.operation.set.pairs.append(pair)
        session.engine.remember(("conf", pair.key), "Config", one.SerializeToString())
    return reply
