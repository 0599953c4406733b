"""Config: the engine keeps a session's confs; riacho keeps what was set, for an engine that takes over."""

from __future__ import annotations

from riacho.conf import check, known
from riacho.protos import pb
from riacho.server.connect.session import ServerSession
from riacho.zones import TIME_ZONE, UTC


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
            if TIME_ZONE in operation.unset.keys:
                session.engine.set_conf(TIME_ZONE, UTC.text)  # the engine's default is the machine's
            return reply
        case "get":
            return _get(session, request)
        case "get_with_default":
            for pair in operation.get_with_default.pairs:
                if pair.HasField("value"):
                    check(pair.key, pair.value)
            return _told(session, request)
        case _:
            return _told(session, request)


def _get(session: ServerSession, request: pb.ConfigRequest) -> bytes:
    """What is set, or else the default: Spark's by the table, for the engine knows the defaults of few.

    Raises SQL_CONF_NOT_FOUND for a key that is neither set nor known.
    """
    found = pb.ConfigResponse()
    for key in request.operation.get.keys:
        one = pb.ConfigRequest(session_id=request.session_id, user_context=request.user_context)
        conf = known(key)
        if conf is None:
            one.operation.get.keys.append(key)
        elif conf.default is None:
            one.operation.get_option.keys.append(key)
        else:
            one.operation.get_with_default.pairs.add(key=key, value=conf.default)
        found.MergeFrom(pb.ConfigResponse.FromString(_told(session, one)))
    return found.SerializeToString()


def _told(session: ServerSession, request: pb.ConfigRequest) -> bytes:
    """What the engine says of confs; of the time zone, what the client called it."""
    reply = session.engine.call("Config", request.SerializeToString())
    zone = session.engine.zone
    if zone.text == zone.engine:
        return reply
    told = pb.ConfigResponse.FromString(reply)
    for pair in told.pairs:
        if pair.key == TIME_ZONE:
            pair.value = zone.text
    return told.SerializeToString()


def _set(session: ServerSession, request: pb.ConfigRequest) -> bytes:
    pairs = list(request.operation.set.pairs)
    for pair in pairs:
        check(pair.key, pair.value)
    for pair in pairs:
        if pair.key == TIME_ZONE:
            session.engine.set_conf(pair.key, pair.value)
    del request.operation.set.pairs[:]
    request.operation.set.pairs.extend(pair for pair in pairs if pair.key != TIME_ZONE)
    reply = session.engine.call("Config", request.SerializeToString())
    for pair in request.operation.set.pairs:
        one = pb.ConfigRequest(session_id=request.session_id, user_context=request.user_context)
        one.operation.set.pairs.append(pair)
        session.engine.remember(("conf", pair.key), "Config", one.SerializeToString())
    return reply
