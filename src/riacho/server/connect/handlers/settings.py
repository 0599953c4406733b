"""`SET` and `RESET` statements: what `spark.conf` does, in SQL.

Source: `org.apache.spark.sql.execution.SparkSqlParser`.
"""

from __future__ import annotations

import re

from riacho.errors import ParseError, SparkError
from riacho.protos import pb
from riacho.server.connect.handlers.config import config
from riacho.server.connect.session import ServerSession
from riacho.server.sql.cursor import Cursor
from riacho.zones import TIME_ZONE

Settings = list[tuple[str, str]]
"""The rows of a reply: keys and values."""

_UNDEFINED = "<undefined>"
_REDACTED = "*********(redacted)"
_SECRET = re.compile(r"secret|password|token|access[.]?key|url", re.IGNORECASE)
"""Spark's `spark.redaction.regex` and `spark.sql.redaction.options.regex`, as they are by default."""
_OTHERS = ("CATALOG", "ROLE", "VAR", "VARIABLE")
"""What `SET` may also be about."""


def statement(session: ServerSession, text: str) -> Settings | None:
    """Run a statement about confs: its rows, of which RESET has none. None, and nothing done, for any other statement.

    Raises ParseError, INVALID_SET_SYNTAX, and what setting a conf raises.
    """
    cursor = Cursor(text)
    if cursor.accept("RESET"):
        return _reset(session, "" if cursor.done else _key(cursor.rest().strip(), "RESET"))
    if not cursor.accept("SET") or cursor.word in _OTHERS:
        return None
    if cursor.done or cursor.text_ahead().strip() == "-v":
        return [(key, _shown(session, key)) for key in sorted(session.engine.conf_keys)]
    if cursor.accept("TIME", "ZONE") or cursor.accept("TIMEZONE"):
        return _set_zone(session, cursor)
    name, equals, value = cursor.rest().partition("=")
    key = _key(name.strip(), "SET")
    if equals:
        _set(session, key, _unquoted(value.strip()))
        return [(key, _unquoted(value.strip()))]
    return [(key, _shown(session, key))]


def _set_zone(session: ServerSession, cursor: Cursor) -> Settings:
    if cursor.accept("LOCAL"):
        cursor.expect_end()
        _unset(session, [TIME_ZONE])
        return [(TIME_ZONE, _told(session, TIME_ZONE))]
    zone = cursor.string()
    cursor.expect_end()
    _set(session, TIME_ZONE, zone)
    return [(TIME_ZONE, zone)]


def _reset(session: ServerSession, key: str) -> Settings:
    _unset(session, [key] if key else list(session.engine.conf_keys))
    return []


def _set(session: ServerSession, key: str, value: str) -> None:
    request = _request(session)
    request.operation.set.pairs.add(key=key, value=value)
    config(session, request)


def _unset(session: ServerSession, keys: list[str]) -> None:
    request = _request(session)
    request.operation.unset.keys.extend(keys)
    config(session, request)


def _shown(session: ServerSession, key: str) -> str:
    """What is set, unless its key or itself looks like something that is not for everybody's eyes."""
    value = _told(session, key)
    return _REDACTED if _SECRET.search(key) or _SECRET.search(value) else value


def _told(session: ServerSession, key: str) -> str:
    request = _request(session)
    request.operation.get.keys.append(key)
    try:
        (pair,) = pb.ConfigResponse.FromString(config(session, request)).pairs
    except SparkError as error:
        if error.condition == "SQL_CONF_NOT_FOUND":
            return _UNDEFINED
        raise
    return pair.value if pair.HasField("value") else _UNDEFINED


def _request(session: ServerSession) -> pb.ConfigRequest:
    request = pb.ConfigRequest(session_id=session.session_id)
    request.user_context.user_id = session.user_id
    return request


def _key(text: str, word: str) -> str:
    """A key: plain, or anything between backticks."""
    if text.startswith("`"):
        return _unquoted(text)
    if text and all(character.isascii() and (character.isalnum() or character in "_.:") for character in text):
        return text
    if word == "RESET":
        raise ParseError(
            "Expected format is 'RESET' or 'RESET key'. If you want to include special characters in key, please use "
            "quotes, e.g., RESET `key`."
        )
    raise ParseError.of(
        "INVALID_SET_SYNTAX",
        "Expected format is 'SET', 'SET key', or 'SET key=value'. If you want to include special characters in key, or "
        "include semicolon in value, please use backquotes, e.g., SET `key`=`value`.",
        sql_state="42000",
    )


def _unquoted(text: str) -> str:
    is_quoted = len(text) > 1 and text[0] == text[-1] == "`"
    return text[1:-1].replace("``", "`") if is_quoted else text
