"""Connections to PostgreSQL: made with limits, tried again while the server is gone, no secrets in errors."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, TypeVar

from riacho.connectors.postgres.address import PgAddress
from riacho.errors import SparkError, SparkGeneralError
from riacho.extras import require

_log = logging.getLogger(__name__)
_T = TypeVar("_T")
_SETTINGS: Final = (
    "-c TimeZone=UTC -c DateStyle=ISO,MDY -c IntervalStyle=postgres -c bytea_output=hex -c extra_float_digits=1"
)
"""So that every session writes values as text in one way."""
_PREFERRED: Final = "-c lock_timeout=60000 -c work_mem=64MB"
"""What the URL's `options` may say otherwise."""
_LIMITS: Final = {
    "application_name": "riacho",
    "keepalives": "1",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
}
"""So that a server that is gone without a word is noticed. The URL may say otherwise."""
_GONE: Final = ("08", "57P01", "57P02", "57P03")
"""SQL states of a server that is not there, or not there yet. Nothing at all says that it broke off."""
_WAYS_OUT: Final = {
    "wal_level >= logical": "ALTER SYSTEM SET wal_level = logical, and restart the server",
    "replication role": "The user needs a right: ALTER ROLE … REPLICATION",
    "permission denied for database": "To make a publication the user needs CREATE on the database, and must own the "
    "tables; or have it made, and name it in the option publication",
    "must be owner of table": "To make a publication the user must own the tables; or have it made, and name it in the "
    "option publication",
    "lock timeout": "The slot is made when transactions have ended that were open before: see pg_stat_activity",
    "permission denied for table": "GRANT SELECT on it to the user",
}
"""What to do about what PostgreSQL says."""
_BUSY: Final = "55006"
"""Of a slot that somebody reads: it may be the reader before us, whose end the server has not noticed yet."""


def connect(address: PgAddress, **more: str) -> Any:
    """A psycopg connection, in autocommit. Raises what psycopg raises, which knows no password."""
    psycopg = require("psycopg", "postgres", "The PostgreSQL connector")
    given = {**_LIMITS, **address.parameters, **more}
    fixed = f"{_SETTINGS} -c statement_timeout={address.statement_ms}"
    given["options"] = f"{_PREFERRED} {given.get('options', '')} {fixed}"
    return psycopg.connect(
        **{**given, "connect_timeout": address.connect_s, "client_encoding": "UTF8"}, autocommit=True
    )


@contextmanager
def connection(address: PgAddress, **more: str) -> Iterator[Any]:
    """A connection that is closed afterwards, whatever happens."""
    opened = connect(address, **more)
    try:
        yield opened
    finally:
        opened.close()


def patiently(address: PgAddress, what: str, work: Callable[[], _T]) -> _T:
    """Do `work`, which may be repeated, again and again while the server is gone, for `address.retry_s` at most.

    Raises SparkGeneralError with PostgreSQL's own text and `what` was tried; riacho's own errors as they are.
    """
    tenacity = require("tenacity", "postgres", "The PostgreSQL connector")
    psycopg = require("psycopg", "postgres", "The PostgreSQL connector")

    def told(state: Any) -> None:
        _log.warning("PostgreSQL at %s could not %s, trying again: %s", address.shown, what, _text(state.outcome))

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(is_passing),
        stop=tenacity.stop_after_delay(address.retry_s),
        wait=tenacity.wait_random_exponential(multiplier=0.1, max=3),
        before_sleep=told,
        reraise=True,
    )
    try:
        found: _T = retrying(work)
    except psycopg.Error as error:
        raise translated(error, address, what) from None
    return found


class KeptConnection:
    """A connection that a reader keeps for its questions: made with the first one, and anew after one that failed."""

    def __init__(self, address: PgAddress) -> None:
        self._address = address
        self._connection: Any = None

    def asked(self, what: str, ask: Callable[[Any], _T]) -> _T:
        """What `ask` gives, patiently. Raises as `patiently`."""

        def work() -> _T:
            if self._connection is None:
                self._connection = connect(self._address)
            try:
                return ask(self._connection)
            except BaseException:
                with suppress(Exception):
                    self.close()
                self._connection = None
                raise

        return patiently(self._address, what, work)

    def close(self) -> None:
        """Let go of it; the next question makes another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def is_passing(error: BaseException) -> bool:
    """Whether trying again may help: the server is gone, restarts, or has not noticed that a reader is."""
    if isinstance(error, SparkError) or not hasattr(error, "sqlstate"):
        return False
    state: str | None = error.sqlstate
    if state is None:
        return type(error).__name__ == "OperationalError" and not is_refused(error)
    return state.startswith(_GONE) or state == _BUSY


def is_refused(error: BaseException) -> bool:
    """A server that is there and wants nothing to do with us: psycopg gives no state for it."""
    text = str(error)
    return any(
        part in text
        for part in (
            "authentication failed",
            "no password supplied",
            "does not exist",
            "no pg_hba.conf entry",
            "not permitted to log in",
            "invalid connection option",
            "invalid sslmode",
            "must be superuser or replication role",
            "permission denied",
        )
    )


def translated(error: Exception, address: PgAddress, what: str) -> SparkGeneralError:
    """An error of psycopg as riacho's own: what was tried, where, and what PostgreSQL said."""
    state = getattr(error, "sqlstate", None)
    said = str(error).strip()
    hint = next((f". {way}" for text, way in _WAYS_OUT.items() if text in said), "")
    if "authentication failed" in said or "no password supplied" in said:
        hint = ". Check the options user and password, or PGUSER and PGPASSWORD where the reader runs"
    elif state == _BUSY:
        hint = (
            ". Each stream needs a slot of its own (option slot); a reader that died without the server noticing is "
            "ended with SELECT pg_terminate_backend(…)"
        )
    elif is_passing(error):
        hint = f". It was tried for {address.retry_s:g} s (option retryTimeout)"
    elif state == "57014":
        hint = f". A statement may take {address.statement_ms / 1000:g} s (option statementTimeout)"
    told = f" (SQL state {state})" if state else ""
    return SparkGeneralError(f"PostgreSQL at {address.shown} could not {what}: {said}{told}{hint}")


def _text(outcome: Any) -> str:
    return str(outcome.exception()).strip().replace("\n", " ")


def quoted(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def as_logged(column: str) -> str:
    """A column as text, as the log and COPY have it: a cast to text leaves out blanks, and writes `true` for `t`."""
    return f"CASE num_nonnulls({column}) WHEN 1 THEN format('%s', {column}) END"


def literal(text: str) -> str:
    """Text as an SQL literal."""
    escaped = text.replace("'", "''").replace("\\", "\\\\")
    return f" E'{escaped}'" if "\\" in text else f"'{escaped}'"


def resumed(address: PgAddress, what: str, stream: Callable[[], Iterator[_T]]) -> Iterator[_T]:
    """What `stream()` yields; when the server breaks off, `stream` is called again, to go on where it was.

    Gives up after `address.retry_s` without anything new. Raises as `patiently`.
    """
    tenacity = require("tenacity", "postgres", "The PostgreSQL connector")
    psycopg = require("psycopg", "postgres", "The PostgreSQL connector")
    wait = tenacity.wait_random_exponential(multiplier=0.1, max=3)
    began: float | None = None
    state = tenacity.RetryCallState(None, None, (), {})
    while True:
        try:
            for item in stream():
                began, state.attempt_number = None, 1
                yield item
            return
        except psycopg.Error as error:
            began = began or time.monotonic()
            if not is_passing(error) or time.monotonic() - began > address.retry_s:
                raise translated(error, address, what) from None
            _log.warning("PostgreSQL at %s could not %s, going on: %s", address.shown, what, str(error).strip())
            time.sleep(wait(state))
            state.attempt_number += 1
