"""What databases and their drivers say, as Spark's errors."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from riacho.errors import AnalysisError, DatabaseError, SparkGeneralError

_HIDDEN: Final = "*********(redacted)"
_STATE: Final = re.compile(r"\.?\s*SQLSTATE: \w{5}\s*$")
_PLACE: Final = re.compile(r"\nLINE \d+: .*?(?=\n(?:DETAIL|HINT|CONTEXT|WHERE):|\Z)", re.DOTALL)
_DRIVERS: Final = re.compile(
    r"^(?:(?!ERROR|FATAL|PANIC)[A-Z_]+: )?(?:\[\w+\] )?(?:Failed to (?:connect|prepare query|execute query): )?"
)
_SEVERITY: Final = re.compile(r"\b(ERROR|FATAL|PANIC):\s+")


class DriverError(DatabaseError):
    """What a driver raised. `state`: SQLSTATE, or empty."""

    def __init__(self, message: str, state: str = "") -> None:
        super().__init__(message)
        self.state = state

    @property
    def is_syntax(self) -> bool:
        """Whether the statement is to blame: it, or what it names."""
        return self.state.startswith("42")


class FromStream(Exception):  # noqa: N818 - not an error of ours yet
    """What a driver told while rows came."""


def driver_error(error: BaseException, secrets: Iterable[str]) -> DriverError | None:
    """What an ADBC driver raised; None if it is not a driver's."""
    if not (isinstance(error, FromStream) or type(error).__module__.startswith("adbc_driver_manager")):
        return None
    text = _plain(str(error))
    for secret in secrets:
        text = text.replace(secret, _HIDDEN)
    state: Any = getattr(error, "sqlstate", None)
    return DriverError(text, state or "")


def _plain(text: str) -> str:
    """What the database says, without where in the driver it arrived and without the statement."""
    head, _, _ = _STATE.sub("", text).partition("\n\nQuery was: ")
    head, _, _ = head.partition("\nquery: ")
    head = _PLACE.sub("", head)
    found = _SEVERITY.search(head)
    if found is not None:
        head = f"{found[1]}: {head[found.end() :]}"
    head = _DRIVERS.sub("", head)
    return head.replace("\nDETAIL:  ", "\n  Detail: ").replace("\nHINT:  ", "\n  Hint: ").strip()


def not_connected(kind: str, error: DriverError) -> AnalysisError:
    """The database could not be reached, or lets nobody in."""
    url = f"jdbc:{kind}:{_HIDDEN}"
    operation = "Couldn't connect to the database"
    return AnalysisError.of(
        "FAILED_JDBC.CONNECTION",
        f"Failed JDBC {url} on the operation: {operation} ({error.message})",
        sql_state="HV000",
        url=url,
    )


def not_described(query: str, error: DriverError) -> DatabaseError | SparkGeneralError:
    """The columns of a relation could not be told."""
    if not error.is_syntax:
        return error
    return SparkGeneralError.of(
        "JDBC_EXTERNAL_ENGINE_SYNTAX_ERROR.DURING_OUTPUT_SCHEMA_RESOLUTION",
        f"JDBC external engine syntax error. The error was caused by the query {query}. {error.message}. The error "
        "occurred during output schema resolution.",
        sql_state="42000",
        jdbcQuery=query,
        externalEngineError=error.message,
    )


def task_failed(error: DriverError) -> SparkGeneralError:
    """A task that read or wrote rows failed; what Spark says of it begins with "Job aborted"."""
    return SparkGeneralError(f"Job aborted due to stage failure: {error.message}")
