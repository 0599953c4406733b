"""Translates the engine's errors into Spark's. The only place that does."""

from __future__ import annotations

import json
import re

import grpc
from google.rpc import error_details_pb2, status_pb2

from riacho import errors
from riacho.errors import SparkError
from riacho.server.engine.sail.conditions import condition_of
from riacho.server.engine.sail.process import outcome
from riacho.server.plan.formats import data_source_not_found
from riacho.server.sql.errors import UnplacedSyntaxError

STATUS_DETAILS = "grpc-status-details-bin"

# Most specific first; the first of the engine's `classes` that is in this table wins.
_BY_JAVA_CLASS: dict[str, type[SparkError]] = {
    cls.java_classes[0]: cls
    for cls in (
        errors.ParseError,
        errors.AnalysisError,
        errors.NumberFormatError,
        errors.IllegalArgumentError,
        errors.IllegalStateError,
        errors.UnsupportedOperationError,
        errors.SparkRuntimeError,
        errors.PythonWorkerError,
        errors.InvalidPlanInputError,
        errors.SparkGeneralError,
    )
}
_CONDITION = re.compile(r"\[([A-Z][A-Z0-9_]*(?:\.[A-Z][A-Z0-9_]*)?)\]")
_MISSING_COLUMN = re.compile(r"attribute ObjectName\((\[.*?\])\) is missing from the schema")
_NO_SOURCE = re.compile(r"No data source found for: (.+?)\.?$", re.MULTILINE)
_NO_CONF = re.compile(r"configuration not found: (\S+)")
_AMBIGUOUS_COLUMN = re.compile(r"ambiguous attribute: ObjectName\((\[.*?\])\)")
_IDENTIFIER = re.compile(r'Identifier\("((?:[^"\\]|\\.)*)"\)')
_SYNTAX = re.compile(r"(?:invalid argument|error in SQL parser): found (.+?)(?: at (\d+):\d+)? expected")
_OWN_ERROR = re.compile(r"^riacho\.errors\.(\w+): ", re.MULTILINE)
"""The last line of a traceback, if the error is one of riacho's own."""
_SQL_STATE = re.compile(r"SQLSTATE: (\w{5})$")
_CANCELLED = re.compile(r"operation not found|operation .*cancel", re.IGNORECASE)


def from_rpc(error: grpc.RpcError) -> SparkError:
    """The SparkError for a failed call: class and condition as the engine gives them, else SparkException."""
    code, message, trailers = outcome(error)
    cls: type[SparkError] = errors.SparkGeneralError
    details = trailers.get(STATUS_DETAILS)
    if isinstance(details, bytes):
        status = status_pb2.Status.FromString(details)
        message = status.message or message
        cls = _class_of(status) or cls
    if cls is errors.PythonWorkerError:  # a traceback may contain any text, so none of the patterns below apply to it
        return _own_error(message) or errors.python_exception(message)
    missing = _MISSING_COLUMN.search(message)
    if missing is not None:
        return _unresolved_column(missing.group(1))
    no_conf = _NO_CONF.search(message)
    if no_conf is not None:
        return errors.NoSuchElementError.of(
            "SQL_CONF_NOT_FOUND",
            f'The SQL config "{no_conf.group(1)}" cannot be found. Please verify that the config exists.',
            sql_state="42K0I",
            sqlConf=f'"{no_conf.group(1)}"',
        )
    no_source = _NO_SOURCE.search(message)
    if no_source is not None:
        return data_source_not_found(no_source.group(1))
    ambiguous = _AMBIGUOUS_COLUMN.search(message)
    if ambiguous is not None:
        return _ambiguous_column(ambiguous.group(1))
    syntax = _SYNTAX.search(message)
    if syntax is not None:
        return _syntax_error(syntax.group(1), syntax.group(2))
    if code is grpc.StatusCode.CANCELLED or _CANCELLED.search(message):
        return errors.SparkGeneralError.of("OPERATION_CANCELED", "Operation has been canceled.", sql_state="HY008")
    known = condition_of(message)
    if known is not None:
        return known
    condition = _CONDITION.search(message)
    if condition is None:
        return cls(message or str(code))
    return cls(message[condition.start() :], condition=condition.group(1))


def _own_error(traceback: str) -> SparkError | None:
    """The error of riacho's own that a function raised inside the engine; None for any other exception."""
    found = list(_OWN_ERROR.finditer(traceback))
    cls = getattr(errors, found[-1].group(1), None) if found else None
    if not isinstance(cls, type) or not issubclass(cls, SparkError):
        return None
    message = traceback[found[-1].end() :].strip()
    condition, state = _CONDITION.match(message), _SQL_STATE.search(message)
    return cls(
        message, condition=condition.group(1) if condition else None, sql_state=state.group(1) if state else None
    )


def _unresolved_column(identifiers: str) -> SparkError:
    name = ".".join(f"`{part}`" for part in _IDENTIFIER.findall(identifiers))
    return errors.AnalysisError.of(
        "UNRESOLVED_COLUMN.WITHOUT_SUGGESTION",
        f"A column, variable, or function parameter with name {name} cannot be resolved.",
        sql_state="42703",
        objectName=name,
    )


def _ambiguous_column(identifiers: str) -> SparkError:
    name = ".".join(f"`{part}`" for part in _IDENTIFIER.findall(identifiers))
    return errors.AnalysisError.of(
        "AMBIGUOUS_REFERENCE",
        f"Reference {name} is ambiguous: several columns have that name.",
        sql_state="42704",
        name=name,
    )


def _syntax_error(found: str, start: str | None) -> SparkError:
    word = f"'{found}'" if start else "end of input"
    error = UnplacedSyntaxError.of(
        "PARSE_SYNTAX_ERROR", f"Syntax error at or near {word}.", sql_state="42601", error=word, hint=""
    )
    error.start = int(start) if start else None
    return error


def _class_of(status: status_pb2.Status) -> type[SparkError] | None:
    for detail in status.details:
        if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
            info = error_details_pb2.ErrorInfo()
            detail.Unpack(info)
            for name in json.loads(info.metadata.get("classes", "[]")):
                if name in _BY_JAVA_CLASS:
                    return _BY_JAVA_CLASS[name]
    return None
